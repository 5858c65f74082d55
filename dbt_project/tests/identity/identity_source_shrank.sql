{%- set limits, base_identity = var('breaker'), breaker_base('dim_identity') -%}
-- What was published last of an earlier day is compared with, so runs of one day add up. Customers with an erased
-- record count on neither side: it is gone on purpose, and the version compared with cannot tell it from the others.
{% if base_identity -%}
with
erased_customers as (
    select customer_key from {{ source('identity', 'assignment') }} where {{ is_erased_key('key') }}
),
base as (
    select
        kind,
        scope,
        count(*) as records
    from {{ base_identity }}
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
    base.kind,
    base.scope,
    base.records as records_before,
    coalesce(tonight.records, 0) as records
from base
left join tonight using (kind, scope)
where
    base.records >= {{ limits.small_source }}
    and coalesce(tonight.records, 0) < (1 - {{ limits.shrink_share }}) * base.records
{%- else -%}
select identity_key from {{ ref('dim_identity') }} where false
{%- endif %}
