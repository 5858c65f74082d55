{# Warns when a source has delivered no accepted batch for the last `max_days` days up to `as_of`. #}
{% test source_is_fresh(model, source_name, max_days) %}
    {{ config(severity='warn') }}
    select newest_business_day
    from (
        select max(business_day) as newest_business_day
        from {{ model }}
        where source = '{{ source_name }}' and refusal_code is null
    )
    where newest_business_day is null or newest_business_day < {{ as_of() }} - {{ max_days }}
{% endtest %}
