{#- History is what was published, and tonight: it is computed from the served version's table and never from the one in
    the build file. So a night that failed its checks leaves no version behind, nor does a second run of the served
    night, and a lost build file costs nothing. Writing the whole table each night is no more than publishing reads. -#}
{#- Left out, and `as_of: current_only` in dim_customer's meta: the age, which follows from the birth date, and what
    changes for more than one customer in a hundred a night (appointments, last activity). Balances are in, for their
    sources tell the present one only. -#}
{% set attributes = [
    'one_id', 'created_at', 'nickname', 'name', 'gender', 'birth_date', 'id_number', 'city', 'phone', 'medical_record_no',
    'clinic_id', 'clinic_ids', 'patient_type', 'member_level', 'source_level_1', 'source_level_2', 'source_level_3', 'patient_remark',
    'online_consultant_id', 'consultant_id', 'responsible_doctor_id', 'customer_service_id', 'has_patient_file', 'is_fan',
    'is_subscribed', 'is_wecom_contact', 'is_mini_program_user', 'is_lead', 'identity_count', 'patient_file_count',
    'first_visit_at', 'last_visit_at', 'last_visit_doctor_id', 'visit_count', 'bill_count', 'paid_fen',
    'new_money_paid_fen', 'first_paid_at', 'last_paid_at', 'stored_value_total_fen', 'stored_value_principal_fen',
    'stored_value_bonus_fen', 'points_balance', 'usable_coupon_count',
] %}
with
today as (
    select
        customer_key,
        {{ attributes | join(', ') }}
    from {{ ref('dim_customer') }}
)
{% if has_published('customer_attribute_history') -%}
,
-- An attribute that the served version does not know yet is null in its versions, one of another type is cast.
served_versions as (
    (
        select
            *,
            null::date as valid_from,
            null::date as valid_to
        from today
        where false
    )
    union all by name
    select * from {{ source('published', 'customer_attribute_history') }}
),
-- The evening before: versions begun since are gone, versions closed since are open again.
versions as (
    select
        customer_key,
        valid_from,
        case when valid_to < {{ as_of() }} then valid_to end as valid_to,
        {% for column in attributes -%}
        {{ as_promised(column) }}{{ "," if not loop.last }}
        {% endfor %}
    from served_versions
    where
        valid_from < {{ as_of() }}
        -- The version served tonight may still know somebody who was erased since.
        and customer_key not in (
            select customer_key from {{ source('identity', 'registry') }} where status = 'erased'
        )
),
open_versions as (select * from versions where valid_to is null),
-- New customers, changed ones, and those merged into another and gone.
changed_customers as (
    select customer_key
    from open_versions
    full join today using (customer_key)
    where
        {% for column in attributes -%}
        {{ "or " if not loop.first }}open_versions.{{ column }} is distinct from today.{{ column }}
        {% endfor %}
)
select
    versions.* replace (
        case when changed_customers.customer_key is null then versions.valid_to else {{ as_of() }} end as valid_to
    )
from versions
left join changed_customers on versions.customer_key = changed_customers.customer_key and versions.valid_to is null
union all
select
    customer_key,
    {{ as_of() }},
    null,
    {{ attributes | join(', ') }}
from today
semi join changed_customers using (customer_key)
{%- else -%}
select
    customer_key,
    {{ as_of() }} as valid_from,
    null::date as valid_to,
    {{ attributes | join(', ') }}
from today
{%- endif %}
