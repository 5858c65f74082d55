-- A join that multiplies rows (a mapping or a dictionary with a key twice) shows as a fact larger than its source.
with
counts as (
    {% for fact, source in fact_sources().items() %}
    select
        '{{ fact }}' as fact,
        (select count(*) from {{ ref(fact) }}) as held,
        (select count(*) from {{ ref(source[0]) }}) as staged
    {{ 'union all' if not loop.last }}
    {% endfor %}
)
select * from counts where held > staged
