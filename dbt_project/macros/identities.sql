{# The key of a source identity: `<kind>:<scope>:<id>`. Scope is the application or corporation that gives out the id;
   the clinic system and the lead system are one each per tenant. #}
{% macro patient_key(patient_id) -%}
    'patient:saas:' || {{ patient_id }}
{%- endmacro %}

{% macro fan_key(app_id, openid) -%}
    'official_account_fan:' || {{ app_id }} || ':' || {{ openid }}
{%- endmacro %}

{% macro wecom_key(corp_id, external_user_id) -%}
    'wecom_contact:' || {{ corp_id }} || ':' || {{ external_user_id }}
{%- endmacro %}

{% macro mini_program_key(app_id, openid) -%}
    'mini_program_user:' || {{ app_id }} || ':' || {{ openid }}
{%- endmacro %}

{% macro lead_key(lead_id) -%}
    'lead:leads:' || {{ lead_id }}
{%- endmacro %}


{# Whether a key is what is left of an erased person's: the id in it is a pseudonym (decision 0006). #}
{% macro is_erased_key(key) -%}
    contains({{ key }}, ':erased-')
{%- endmacro %}


{# Identity's log without what it keeps of erased persons: their records' events, and those of their ids. #}
{% macro living_identity_events() -%}
    (
        select events.*
        from {{ source('identity', 'event') }} as events
        anti join (
            select one_id from {{ source('identity', 'registry') }} where status = 'erased'
        ) as erased on events.key is null and events.from_id = erased.one_id
        where events.key is null or not {{ is_erased_key('events.key') }}
    )
{%- endmacro %}
