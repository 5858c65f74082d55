{# A check that an operator has looked at and accepted for this run (`cdp nightly --accept`) is told, but stops nothing.
   Which ones may be accepted says pipelines/breaker.py; asked for when SQL is made, as the business day is. #}
{% macro duckdb__get_test_sql(main_sql, fail_calc, warn_if, error_if, limit) -%}
    {%- set accepted = env_var('CDP_ACCEPTED_CHECKS', '').split(',') -%}
    select
        {{ fail_calc }} as failures,
        {{ fail_calc }} {{ warn_if }} as should_warn,
        {{ 'false' if model.name in accepted else fail_calc ~ ' ' ~ error_if }} as should_error
    from (
        {{ main_sql }}
        {{ 'limit ' ~ limit if limit is not none }}
    ) as dbt_internal_test
{%- endmacro %}
