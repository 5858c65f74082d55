{# The business day the night covers, as a DATE. No model asks the clock: whoever starts dbt says the day in CDP_AS_OF, and
   dbt refuses to run without it. It is asked for when SQL is made, never when the project is parsed (there any day does),
   so that a new day is no reason to parse the project again. #}
{% macro as_of() -%}
    date '{{ env_var("CDP_AS_OF") if execute else "2000-01-01" }}'
{%- endmacro %}


{# The calendar day of an instant in the tenant's zone: the session's TimeZone, which profiles.yml sets. #}
{% macro local_date(expression) -%}
    cast({{ expression }} as date)
{%- endmacro %}
