{% set clinic_id = surviving('clinic_id') -%}
with
identities as (select * from {{ ref('dim_identity') }} where is_present),
files as (select * from {{ ref('int_customer_patient_file') }}),
contacts as (select * from {{ ref('int_customer_contact') }}),
visits as (select * from {{ ref('int_customer_visit') }}),
payments as (select * from {{ ref('int_customer_payment') }}),
assets as (select * from {{ ref('int_customer_asset') }}),
activities as (select * from {{ ref('int_customer_activity') }}),
clinics as (select * from {{ ref('stg_saas__clinics') }}),
staff as (select staff_id, staff_name from {{ ref('stg_saas__staff') }}),
customers as (
    select
        customer_key,
        any_value(one_id) as one_id,
        min(first_seen_at) as created_at,
        count(*) as identity_count,
        count(*) filter (where kind = 'patient') as patient_file_count,
        bool_or(kind = 'patient') as has_patient_file,
        bool_or(kind = 'official_account_fan') as is_fan,
        bool_or(kind = 'wecom_contact') as is_wecom_contact,
        bool_or(kind = 'mini_program_user') as is_mini_program_user,
        bool_or(kind = 'lead') as is_lead
    from identities
    group by customer_key
),
profiles as (
    select
        customers.*,
        {% for attribute in survivorship() if attribute != 'gender' -%}
        {{ surviving(attribute) }} as {{ attribute }},
        {% endfor -%}
        coalesce({{ surviving('gender') }}, '未知') as gender,
        coalesce(files.clinic_ids, case when {{ clinic_id }} is null then [] else [{{ clinic_id }}] end) as clinic_ids,
        coalesce(contacts.is_subscribed, false) as is_subscribed
    from customers
    left join files using (customer_key)
    left join contacts using (customer_key)
)
select
    profiles.customer_key,
    profiles.one_id,
    profiles.created_at,
    profiles.nickname,
    profiles.name,
    profiles.avatar_url,
    profiles.gender,
    profiles.birth_date,
    -- A birthday on 29 February is reached on 1 March in common years.
    date_sub('year', profiles.birth_date, {{ as_of() }})::integer as age,
    profiles.id_number,
    profiles.city,
    profiles.phone,
    profiles.medical_record_no,
    profiles.clinic_id,
    clinics.clinic_name,
    profiles.clinic_ids,
    profiles.patient_type,
    profiles.member_level,
    profiles.source_levels[1] as source_level_1,
    profiles.source_levels[2] as source_level_2,
    profiles.source_levels[3] as source_level_3,
    profiles.patient_remark,
    profiles.online_consultant_id,
    online_consultants.staff_name as online_consultant_name,
    profiles.consultant_id,
    consultants.staff_name as consultant_name,
    profiles.responsible_doctor_id,
    responsible_doctors.staff_name as responsible_doctor_name,
    profiles.customer_service_id,
    customer_services.staff_name as customer_service_name,
    profiles.has_patient_file,
    profiles.is_fan,
    profiles.is_subscribed,
    profiles.is_wecom_contact,
    profiles.is_mini_program_user,
    profiles.is_lead,
    profiles.identity_count::integer as identity_count,
    profiles.patient_file_count::integer as patient_file_count,
    visits.first_visit_at,
    visits.last_visit_at,
    visits.last_visit_doctor_id,
    last_visit_doctors.staff_name as last_visit_doctor_name,
    coalesce(visits.visit_count, 0)::integer as visit_count,
    coalesce(visits.appointment_count, 0)::integer as appointment_count,
    coalesce(visits.no_show_count, 0)::integer as no_show_count,
    visits.next_appointment_at,
    coalesce(payments.bill_count, 0)::integer as bill_count,
    coalesce(payments.paid_fen, 0) as paid_fen,
    coalesce(payments.new_money_paid_fen, 0) as new_money_paid_fen,
    payments.first_paid_at,
    payments.last_paid_at,
    activities.last_active_at,
    coalesce(assets.stored_value_principal_fen, 0)
    + coalesce(assets.stored_value_bonus_fen, 0) as stored_value_total_fen,
    coalesce(assets.stored_value_principal_fen, 0) as stored_value_principal_fen,
    coalesce(assets.stored_value_bonus_fen, 0) as stored_value_bonus_fen,
    coalesce(assets.points_balance, 0) as points_balance,
    coalesce(assets.usable_coupon_count, 0)::integer as usable_coupon_count
from profiles
left join visits using (customer_key)
left join payments using (customer_key)
left join assets using (customer_key)
left join activities using (customer_key)
left join clinics on profiles.clinic_id = clinics.clinic_id
left join staff as online_consultants on profiles.online_consultant_id = online_consultants.staff_id
left join staff as consultants on profiles.consultant_id = consultants.staff_id
left join staff as responsible_doctors on profiles.responsible_doctor_id = responsible_doctors.staff_id
left join staff as customer_services on profiles.customer_service_id = customer_services.staff_id
left join staff as last_visit_doctors on visits.last_visit_doctor_id = last_visit_doctors.staff_id
