-- Staging leaves deleted records out; a record that disappears here vanishes from its customer tonight.
with
patients as (select * from {{ ref('stg_saas__patients') }}),
fans as (select * from {{ ref('stg_official_account__fans') }}),
contacts as (select * from {{ ref('stg_wecom__external_contacts') }}),
users as (select * from {{ ref('stg_mini_program__users') }}),
leads as (select * from {{ ref('stg_leads__leads') }}),
patient_identities as (
    select
        {{ patient_key('patient_id') }} as key,
        'patient' as kind,
        'saas' as scope,
        patient_id as source_id,
        created_at as first_seen_at,
        {{ name_norm('name') }} as name_norm,
        birth_date,
        nullif(upper(regexp_replace(id_number, '\s', '', 'g')), '') as id_number,
        -- As of the first sight: an eighteenth birthday must not change who belongs together.
        coalesce(birth_date + interval 18 year > {{ local_date('created_at') }}, false) as is_minor
    from patients
),
other_identities as (
    select
        {{ fan_key('app_id', 'openid') }} as key,
        'official_account_fan' as kind,
        app_id as scope,
        openid as source_id,
        subscribed_at as first_seen_at
    from fans
    union all
    select
        {{ wecom_key('corp_id', 'external_user_id') }},
        'wecom_contact',
        corp_id,
        external_user_id,
        created_at
    from contacts
    union all
    select {{ mini_program_key('app_id', 'openid') }}, 'mini_program_user', app_id, openid, registered_at
    from users
    union all
    select {{ lead_key('lead_id') }}, 'lead', 'leads', lead_id, created_at
    from leads
)
select * from patient_identities
union all
-- Only a patient file states who somebody is; nicknames and remarks do not.
select *, null, null, null, false from other_identities
