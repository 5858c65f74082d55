{# The business day the night covers, as a DATE. No model asks the clock. #}
{% macro as_of() -%}
    date '{{ var("as_of") }}'
{%- endmacro %}


{# The calendar day of an instant in the tenant's zone: the session's TimeZone, which profiles.yml sets. #}
{% macro local_date(expression) -%}
    cast({{ expression }} as date)
{%- endmacro %}
