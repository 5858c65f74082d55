{# Staff note a phone beside the contact, not on it, and each note has a moment of its own. #}
{% set noted = ['phone'] -%}
{% set of_contact, of_remark = {}, {} -%}
{% for attribute, value in asked_of('wecom_contact').items() -%}
    {%- do (of_remark if attribute in noted else of_contact).update({attribute: value}) -%}
{% endfor -%}
-- What the channels beside the patient files know of a customer.
with
detached as ({{ detached() }}),
users as (
    select
        customers.customer_key,
        {{ winners(
            asked_of('mini_program_user'), 'mini_program_', 'users.updated_at', 'users.openid',
            mini_program_key('users.app_id', 'users.openid')
        ) }}
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
        {{ winners(
            asked_of('official_account_fan'), 'fan_', 'bindings.bound_at', 'bindings.binding_id',
            fan_key('bindings.app_id', 'bindings.openid')
        ) }}
    from {{ ref('stg_official_account__fan_bindings') }} as bindings
    inner join {{ ref('int_fan_customer') }} as customers using (app_id, openid)
    where bindings.unbound_at is null
    group by customers.customer_key
),
contacts as (
    select
        customers.customer_key,
        {{ winners(
            of_contact, 'wecom_', 'contacts.updated_at', 'contacts.external_user_id',
            wecom_key('contacts.corp_id', 'contacts.external_user_id')
        ) }}
    from {{ ref('stg_wecom__external_contacts') }} as contacts
    inner join {{ ref('int_wecom_customer') }} as customers using (corp_id, external_user_id)
    group by customers.customer_key
),
remark_phones as (
    select
        customers.customer_key,
        {{ winners(
            of_remark, 'wecom_', 'remarks.noted_at', 'remarks.phone || remarks.external_user_id',
            wecom_key('remarks.corp_id', 'remarks.external_user_id')
        ) }}
    from {{ ref('stg_wecom__remark_phones') }} as remarks
    inner join {{ ref('int_wecom_customer') }} as customers using (corp_id, external_user_id)
    group by customers.customer_key
),
leads as (
    select
        customers.customer_key,
        {{ winners(asked_of('lead'), 'lead_', 'leads.updated_at', 'leads.lead_id', lead_key('leads.lead_id')) }}
    from {{ ref('stg_leads__leads') }} as leads
    inner join {{ ref('int_lead_customer') }} as customers using (lead_id)
    group by customers.customer_key
)
select * replace (coalesce(is_subscribed, false) as is_subscribed)
from users
full join fans using (customer_key)
full join fan_phones using (customer_key)
full join contacts using (customer_key)
full join remark_phones using (customer_key)
full join leads using (customer_key)
