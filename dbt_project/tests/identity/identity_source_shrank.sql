{%- set limits = var('breaker') -%}
-- Customers with an erased record count on neither side: that record is gone on purpose, and the served version, which
-- still has it, cannot tell it from the others.
{% if has_published('dim_identity') -%}
with
erased_customers as (
    select customer_key from {{ source('identity', 'assignment') }} where {{ is_erased_key('key') }}
),
served as (
    select
        kind,
        scope,
        count(*) as records
    from {{ source('published', 'dim_identity') }}
    where is_present and customer_key not in (select customer_key from erased_customers)
    group by kind, scope
),
tonight as (
    select
        kind,
        scope,
        count(*) as records
    from {{ ref('dim_identity') }}
    where is_present and customer_key not in (select customer_key from erased_customers)
    group by kind, scope
)
select
    served.kind,
    served.scope,
    served.records as served_records,
    coalesce(tonight.records, 0) as records
from served
left join tonight using (kind, scope)
where
    served.records >= {{ limits.small_source }}
    and coalesce(tonight.records, 0) < (1 - {{ limits.shrink_share }}) * served.records
{%- else -%}
select identity_key from {{ ref('dim_identity') }} where false
{%- endif %}
