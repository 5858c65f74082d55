-- Tiers: 1 a binding the source itself holds, 2 unionid, 3 a phone its holder proved or the patient's own primary one,
-- 4 a phone staff typed, 5 a phone somebody left on a form. A patient's other numbers are no evidence.
-- What is left of a record that its source deleted ties nobody: rows about it in other tables leave by the columns they
-- have, since keys are long and comparing them costs most of the time of this model.
with
patients as (select patient_id from {{ ref('stg_saas__patients') }}),
fans as (select app_id, openid, unionid from {{ ref('stg_official_account__fans') }}),
users as (select app_id, openid, unionid, phone from {{ ref('stg_mini_program__users') }}),
contacts as (select corp_id, external_user_id, unionid from {{ ref('stg_wecom__external_contacts') }}),
leads as (select lead_id, phone, converted_patient_id from {{ ref('stg_leads__leads') }}),
own_phones as (select * from {{ ref('int_patient_own_phone') }} semi join patients using (patient_id)),
fan_bindings as (select * from {{ ref('stg_official_account__fan_bindings') }} where unbound_at is null),
user_bindings as (select * from {{ ref('stg_mini_program__bindings') }} where unbound_at is null),
-- A binding to a file that is gone ties nobody to it.
fan_ties as (
    select app_id, openid, patient_id from fan_bindings semi join patients using (patient_id) where relation = '本人'
),
user_ties as (
    select app_id, openid, patient_id from user_bindings semi join patients using (patient_id) where relation = '本人'
),
lead_ties as (
    select lead_id, converted_patient_id as patient_id
    from leads
    semi join patients on leads.converted_patient_id = patients.patient_id
),
tied_patients as (
    select patient_id from fan_ties
    union
    select patient_id from user_ties
    union
    select patient_id from lead_ties
),
binding_evidence as (
    select distinct {{ fan_key('app_id', 'openid') }} as key, {{ patient_key('patient_id') }} as value
    from fan_ties
    semi join fans using (app_id, openid)
    union all
    select distinct {{ mini_program_key('app_id', 'openid') }}, {{ patient_key('patient_id') }}
    from user_ties
    semi join users using (app_id, openid)
    union all
    select {{ lead_key('lead_id') }}, {{ patient_key('patient_id') }}
    from lead_ties
    union all
    select {{ patient_key('patient_id') }}, {{ patient_key('patient_id') }}
    from tied_patients
),
unionid_evidence as (
    select {{ fan_key('app_id', 'openid') }} as key, unionid
    from fans
    union all
    select {{ wecom_key('corp_id', 'external_user_id') }}, unionid
    from contacts
    union all
    select {{ mini_program_key('app_id', 'openid') }}, unionid
    from users
),
single_phones as (
    select {{ patient_key('patient_id') }} as key, phone_e164 as phone, 3 as tier
    from own_phones
    union all
    select {{ mini_program_key('app_id', 'openid') }}, {{ phone_e164('phone') }}, 3
    from users
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
    semi join fans using (app_id, openid)
    union all
    select
        {{ wecom_key('corp_id', 'external_user_id') }},
        {{ phone_e164('phone') }},
        4,
        noted_at,
        position
    from {{ ref('stg_wecom__remark_phones') }}
    semi join contacts using (corp_id, external_user_id)
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
    select key, 'binding' as value_type, value, 1 as tier, 0 as position from binding_evidence
    union all
    select key, 'unionid', unionid, 2, 0 from unionid_evidence where unionid is not null
    union all
    select key, 'phone', phone, tier, position from phone_evidence
)
select key, value_type, value, tier::integer as tier, position::integer as position
from all_evidence
