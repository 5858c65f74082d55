-- Whoever shares a phone or acts for somebody is related to them, not the same person: identity uses none of these.
with
patient_customers as (select * from {{ ref('int_patient_customer') }}),
detached as ({{ detached() }}),
file_phones as (
    select patient_id, phone_e164
    from {{ ref('int_patient_own_phone') }}
    where
        phone_e164 is not null
        and ({{ patient_key('patient_id') }}, phone_e164) not in (select key, number from detached)
),
user_phones as (
    select app_id, openid, {{ phone_e164('phone') }} as phone_e164
    from {{ ref('stg_mini_program__users') }}
    where phone is not null
),
own_phones as (
    select phone_e164, customer_key
    from file_phones
    inner join patient_customers using (patient_id)
    union
    select phone_e164, customer_key
    from user_phones
    inner join {{ ref('int_mini_program_customer') }} using (app_id, openid)
    where
        phone_e164 is not null
        and ({{ mini_program_key('app_id', 'openid') }}, phone_e164) not in (select key, number from detached)
),
-- A number that several customers call their own points at nobody.
phone_holders as (
    select phone_e164, any_value(customer_key) as customer_key
    from own_phones
    group by phone_e164
    having count(*) = 1
),
other_numbers as (
    select patient_id, relation, {{ phone_e164('phone') }} as phone_e164, updated_at
    from {{ ref('stg_saas__patient_phones') }}
    where relation <> '本人'
),
families as (
    select value as phone_e164, owner_key
    from {{ source('identity', 'value_state') }}
    where value_type = 'phone' and state = 'family' and owner_key is not null
),
-- Grown up is, as for identity, who has one file of a grown-up.
sharers as (
    select
        phones.phone_e164,
        phones.patient_id,
        files.key,
        bool_and(files.is_minor) over (
            partition by phones.phone_e164, coalesce(files.id_number, files.name_norm, files.key)
        ) as is_minor
    from file_phones as phones
    semi join families on phones.phone_e164 = families.phone_e164
    inner join {{ ref('int_identity') }} as files on {{ patient_key('phones.patient_id') }} = files.key
),
-- An operator may give a number of two adults to one of them: what they are to each other nobody said, and a number
-- that was given out again makes no family.
parents as (
    select families.phone_e164, owners.customer_key
    from families
    inner join sharers on families.phone_e164 = sharers.phone_e164 and families.owner_key = sharers.key
    inner join {{ source('identity', 'assignment') }} as owners on families.owner_key = owners.key
    where not sharers.is_minor
),
found as (
    select
        patient_customers.customer_key,
        phone_holders.customer_key as related_customer_key,
        other_numbers.relation,
        'patient_phone' as origin,
        other_numbers.updated_at as known_at
    from other_numbers
    inner join patient_customers using (patient_id)
    inner join phone_holders using (phone_e164)
    union all
    select
        fan_customers.customer_key,
        patient_customers.customer_key,
        bindings.relation,
        'fan_binding',
        bindings.bound_at
    from {{ ref('stg_official_account__fan_bindings') }} as bindings
    inner join {{ ref('int_fan_customer') }} as fan_customers using (app_id, openid)
    inner join patient_customers using (patient_id)
    where bindings.relation <> '本人' and bindings.unbound_at is null
    union all
    select
        user_customers.customer_key,
        patient_customers.customer_key,
        bindings.relation,
        'mini_program_binding',
        bindings.bound_at
    from {{ ref('stg_mini_program__bindings') }} as bindings
    inner join {{ ref('int_mini_program_customer') }} as user_customers using (app_id, openid)
    inner join patient_customers using (patient_id)
    where bindings.relation <> '本人' and bindings.unbound_at is null
    union all
    select patient_customers.customer_key, parents.customer_key, '家长', 'shared_phone', patients.created_at
    from sharers
    inner join parents on sharers.phone_e164 = parents.phone_e164
    inner join {{ ref('stg_saas__patients') }} as patients on sharers.patient_id = patients.patient_id
    inner join patient_customers on sharers.patient_id = patient_customers.patient_id
    where sharers.is_minor
    union all
    select patient_customers.customer_key, referrers.customer_key, '推荐人', 'referrer', patients.created_at
    from {{ ref('stg_saas__patients') }} as patients
    inner join patient_customers using (patient_id)
    inner join patient_customers as referrers on patients.referrer_patient_id = referrers.patient_id
)
select
    customer_key,
    related_customer_key,
    relation,
    list_sort(list(distinct origin)) as origins,
    min(known_at) as known_at
from found
where customer_key <> related_customer_key
group by customer_key, related_customer_key, relation
