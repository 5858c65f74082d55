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
