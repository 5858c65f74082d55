with
staff as (select * from {{ ref('stg_saas__staff') }}),
clinics as (select * from {{ ref('stg_saas__clinics') }}),
roles as (
    select
        staff_id,
        list_sort(list(distinct role)) as roles,
        list_sort(list(distinct clinic_id)) as role_clinic_ids
    from {{ ref('stg_saas__staff_roles') }}
    group by staff_id
)
select
    staff.staff_id,
    staff.staff_name,
    staff.phone,
    staff.clinic_id,
    clinics.clinic_name,
    coalesce(roles.roles, []) as roles,
    coalesce(roles.role_clinic_ids, []) as role_clinic_ids,
    staff.status,
    staff.wecom_user_id,
    staff.hired_on
from staff
left join clinics using (clinic_id)
left join roles using (staff_id)
