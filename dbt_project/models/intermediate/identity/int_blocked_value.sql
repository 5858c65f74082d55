with
evidence as (select * from {{ ref('int_identity_evidence') }}),
house_phones as (
    select {{ phone_e164('phone') }} as value, 'staff_phone' as reason from {{ ref('stg_saas__staff') }}
    union all
    select {{ phone_e164('phone') }}, 'clinic_phone' from {{ ref('stg_saas__clinics') }}
),
unusable_phones as (
    select value, {{ blocked_phone_reason('value') }} as reason
    from evidence
    where value_type = 'phone'
),
blocked as (
    select * from house_phones
    union all
    select * from unusable_phones
)
select 'phone' as value_type, value, min(reason) as reason
from blocked
where value is not null and reason is not null
group by value
