-- What the channels beside the patient files know of a customer; the newest value that is not missing wins.
with
users as (
    select
        customers.customer_key,
        max_by(users.nickname, {{ recency('users.updated_at', 'users.openid') }}) as mini_program_nickname,
        max_by(users.avatar_url, {{ recency('users.updated_at', 'users.openid') }}) as avatar_url,
        max_by(users.phone, {{ recency('users.updated_at', 'users.openid') }}) as mini_program_phone
    from {{ ref('stg_mini_program__users') }} as users
    inner join {{ ref('int_mini_program_customer') }} as customers using (app_id, openid)
    group by customers.customer_key
),
fans as (
    select
        customers.customer_key,
        bool_or(fans.is_subscribed) as is_subscribed
    from {{ ref('stg_official_account__fans') }} as fans
    inner join {{ ref('int_fan_customer') }} as customers using (app_id, openid)
    group by customers.customer_key
),
fan_phones as (
    select
        customers.customer_key,
        max_by(bindings.phone, {{ recency('bindings.bound_at', 'bindings.binding_id') }}) as fan_phone
    from {{ ref('stg_official_account__fan_bindings') }} as bindings
    inner join {{ ref('int_fan_customer') }} as customers using (app_id, openid)
    where bindings.unbound_at is null
    group by customers.customer_key
),
contacts as (
    select
        customers.customer_key,
        max_by(contacts.nickname, {{ recency('contacts.updated_at', 'contacts.external_user_id') }}) as wecom_nickname,
        max_by(
            nullif(contacts.gender, '未知'), {{ recency('contacts.updated_at', 'contacts.external_user_id') }}
        ) as wecom_gender
    from {{ ref('stg_wecom__external_contacts') }} as contacts
    inner join {{ ref('int_wecom_customer') }} as customers using (corp_id, external_user_id)
    group by customers.customer_key
),
remark_phones as (
    select
        customers.customer_key,
        max_by(remarks.phone, {{ recency('remarks.noted_at', 'remarks.phone') }}) as wecom_phone
    from {{ ref('stg_wecom__remark_phones') }} as remarks
    inner join {{ ref('int_wecom_customer') }} as customers using (corp_id, external_user_id)
    group by customers.customer_key
),
leads as (
    select
        customers.customer_key,
        max_by(leads.name, {{ recency('leads.updated_at', 'leads.lead_id') }}) as lead_name,
        max_by(leads.phone, {{ recency('leads.updated_at', 'leads.lead_id') }}) as lead_phone,
        max_by(nullif(leads.gender, '未知'), {{ recency('leads.updated_at', 'leads.lead_id') }}) as lead_gender,
        max_by(leads.clinic_id, {{ recency('leads.updated_at', 'leads.lead_id') }}) as lead_clinic_id,
        max_by(
            case
                when leads.channel_level_1 is not null
                    then [leads.channel_level_1, leads.channel_level_2, leads.channel_level_3]
            end,
            {{ recency('leads.updated_at', 'leads.lead_id') }}
        ) as lead_source_levels
    from {{ ref('stg_leads__leads') }} as leads
    inner join {{ ref('int_lead_customer') }} as customers using (lead_id)
    group by customers.customer_key
)
select
    customer_key,
    users.mini_program_nickname,
    users.avatar_url,
    {{ national_phone(phone_e164('users.mini_program_phone'), 'users.mini_program_phone') }} as mini_program_phone,
    coalesce(fans.is_subscribed, false) as is_subscribed,
    {{ national_phone(phone_e164('fan_phones.fan_phone'), 'fan_phones.fan_phone') }} as fan_phone,
    contacts.wecom_nickname,
    contacts.wecom_gender,
    {{ national_phone(phone_e164('remark_phones.wecom_phone'), 'remark_phones.wecom_phone') }} as wecom_phone,
    leads.lead_name,
    {{ national_phone(phone_e164('leads.lead_phone'), 'leads.lead_phone') }} as lead_phone,
    leads.lead_gender,
    leads.lead_clinic_id,
    leads.lead_source_levels
from users
full join fans using (customer_key)
full join fan_phones using (customer_key)
full join contacts using (customer_key)
full join remark_phones using (customer_key)
full join leads using (customer_key)
