{# Warns of each raw table that has had no accepted batch for more days up to `as_of` than its meta
   `max_days_without_batch` allows. Asked table by table: a source may stop one of its tables and go on with the rest. #}
{% test tables_are_fresh(model) %}
    {{ config(severity='warn') }}
    with
    expected (source, table_name, max_days) as (
        values
        {%- for raw in (graph.sources if execute else {}).values() if raw.source_name == 'raw' %}
            ('{{ raw.name.split("__")[0] }}', '{{ raw.name.split("__")[1] }}', {{ raw.config.meta.max_days_without_batch }})
            {{- "," if not loop.last }}
        {%- endfor %}
    ),
    accepted as (select source, table_name, business_day from {{ model }} where refusal_code is null)
    select
        source,
        table_name,
        max_days,
        max(business_day) as newest_business_day
    from expected
    left join accepted using (source, table_name)
    group by all
    having newest_business_day is null or newest_business_day < {{ as_of() }} - max_days
{% endtest %}
