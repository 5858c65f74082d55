-- Tiers: 1 a binding the source itself holds, 2 unionid, 3 a phone its holder proved or the patient's own primary one,
-- 4 a phone staff typed, 5 a phone somebody left on a form. A patient's other numbers are no evidence.
with
patients as (select * from {{ ref('stg_saas__patients') }}),
own_phones as (select * from {{ ref('int_patient_own_phone') }}),
fan_bindings as (select * from {{ ref('stg_official_account__fan_bindings') }} where unbound_at is null),
user_bindings as (select * from {{ ref('stg_mini_program__bindings') }} where unbound_at is null),
leads as (select * from {{ ref('stg_leads__leads') }}),
bindings as (
    select {{ fan_key('app_id', 'openid') }} as key, patient_id from fan_bindings where relation = '本人'
    union
    select {{ mini_program_key('app_id', 'openid') }}, patient_id from user_bindings where relation = '本人'
    union
    select {{ lead_key('lead_id') }}, converted_patient_id from leads
),
-- A binding to a file that is gone ties nobody to it.
standing_bindings as (select * from bindings semi join patients using (patient_id)),
binding_evidence as (
    select key, 'binding' as value_type, {{ patient_key('patient_id') }} as value, 1 as tier, 0 as position
    from standing_bindings
    union all
    select distinct {{ patient_key('patient_id') }}, 'binding', {{ patient_key('patient_id') }}, 1, 0
    from standing_bindings
),
unionid_evidence as (
    select {{ fan_key('app_id', 'openid') }} as key, unionid
    from {{ ref('stg_official_account__fans') }}
    union all
    select {{ wecom_key('corp_id', 'external_user_id') }}, unionid
    from {{ ref('stg_wecom__external_contacts') }}
    union all
    select {{ mini_program_key('app_id', 'openid') }}, unionid
    from {{ ref('stg_mini_program__users') }}
),
single_phones as (
    select {{ patient_key('patient_id') }} as key, phone_e164 as phone, 3 as tier
    from own_phones
    union all
    select {{ mini_program_key('app_id', 'openid') }}, {{ phone_e164('phone') }}, 3
    from {{ ref('stg_mini_program__users') }}
    union all
    select {{ lead_key('lead_id') }}, {{ phone_e164('phone') }}, 5
    from leads
),
phone_lists as (
    -- The SMS code proves the fan's own phone, whosever file it was used for.
    select
        {{ fan_key('app_id', 'openid') }} as key,
        {{ phone_e164('phone') }} as phone,
        3 as tier,
        bound_at as noted_at,
        0 as place
    from fan_bindings
    union all
    select
        {{ wecom_key('corp_id', 'external_user_id') }},
        {{ phone_e164('phone') }},
        4,
        noted_at,
        position
    from {{ ref('stg_wecom__remark_phones') }}
),
-- One number noted by several people counts once, at its first noting.
first_notings as (
    select
        key,
        phone,
        tier,
        min(noted_at) as noted_at,
        min(place) as place
    from phone_lists
    where phone is not null
    group by key, phone, tier
),
phone_evidence as (
    select key, phone, tier, 0 as position
    from single_phones
    where phone is not null
    union all
    select key, phone, tier, row_number() over (partition by key order by noted_at, place, phone) - 1
    from first_notings
),
all_evidence as (
    select key, value_type, value, tier, position from binding_evidence
    union all
    select key, 'unionid', unionid, 2, 0 from unionid_evidence where unionid is not null
    union all
    select key, 'phone', phone, tier, position from phone_evidence
)
-- What is left of a record that its source deleted ties nobody.
select key, value_type, value, tier::integer as tier, position::integer as position
from all_evidence
semi join {{ ref('int_identity') }} using (key)
