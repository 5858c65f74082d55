-- Nothing lost, nothing twice: a fact holds the staged rows that have a customer. Facts rebuilt each night do so
-- by their making; the ones that grow are asked.
{% set grown = [
    'fct_mini_program_event', 'fct_official_account_event', 'fct_points_entry', 'fct_lead_event',
] %}
with
counts as (
    {% for fact in grown %}
    {% set staged, mapping, key = fact_sources()[fact] %}
    select
        '{{ fact }}' as fact,
        (select count(*) from {{ ref(fact) }}) as held,
        (select count(*) from {{ ref(staged) }} semi join {{ ref(mapping) }} using ({{ key }})) as due
    {{ 'union all' if not loop.last }}
    {% endfor %}
)
select * from counts where held <> due
