{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['customer_key', 'valid_from'],
    on_schema_change='fail',
    pre_hook="{{ reopen_history_at_as_of() }}"
) }}
{#- Counters and balances are left out: they follow from the fact tables, whose rows carry their own time. -#}
{% set attributes = [
    'one_id', 'created_at', 'nickname', 'name', 'gender', 'birth_date', 'city', 'phone', 'medical_record_no', 'clinic_id',
    'clinic_ids', 'patient_type', 'member_level', 'source_level_1', 'source_level_2', 'source_level_3', 'patient_remark',
    'online_consultant_id', 'consultant_id', 'responsible_doctor_id', 'customer_service_id', 'has_patient_file', 'is_fan',
    'is_subscribed', 'is_wecom_contact', 'is_mini_program_user', 'is_lead', 'first_visit_at', 'last_visit_at',
    'last_visit_doctor_id',
] %}
with
today as (
    select
        customer_key,
        {{ attributes | join(', ') }}
    from {{ ref('dim_customer') }}
)
{% if is_incremental() -%}
,
open_versions as (select * from {{ this }} where valid_to is null),
compared as (
    select
        open_versions.customer_key as old_key,
        today.customer_key as new_key,
        {% for column in attributes -%}
        open_versions.{{ column }} as old_{{ column }},
        today.{{ column }} as new_{{ column }},
        {% endfor -%}
        open_versions.valid_from
    from open_versions
    full join today using (customer_key)
    where
        {% for column in attributes -%}
        {{ "or " if not loop.first }}open_versions.{{ column }} is distinct from today.{{ column }}
        {% endfor %}
)
-- Closed: the customer has changed, or was merged into another and is gone.
select
    old_key::integer as customer_key,
    valid_from,
    {{ as_of() }} as valid_to,
    {% for column in attributes -%}
    old_{{ column }} as {{ column }}{{ "," if not loop.last }}
    {% endfor %}
from compared
where old_key is not null
union all
select
    new_key::integer,
    {{ as_of() }},
    null,
    {% for column in attributes -%}
    new_{{ column }}{{ "," if not loop.last }}
    {% endfor %}
from compared
where new_key is not null
{%- else -%}
select
    customer_key,
    {{ as_of() }} as valid_from,
    null::date as valid_to,
    {{ attributes | join(', ') }}
from today
{%- endif %}
