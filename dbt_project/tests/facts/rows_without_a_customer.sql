{{ config(severity='warn') }}
-- Rows whose patient has no file, or whose user is no known identity, belong to nobody and stay out of the facts; this
-- counts them, one row for each fact concerned.
with
counts as (
    {% for fact, source in fact_sources().items() %}
    select
        '{{ fact }}' as fact,
        (select count(*) from {{ ref(source[0]) }}) - (select count(*) from {{ ref(fact) }}) as rows_without_a_customer
    {{ 'union all' if not loop.last }}
    {% endfor %}
)
select * from counts where rows_without_a_customer > 0
