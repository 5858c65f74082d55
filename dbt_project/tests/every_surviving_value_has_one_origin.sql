{#- A gender nobody told is 未知; the levels of the source are one answer, which has a first level. -#}
{%- set told = {'gender': "nullif(gender, '未知')", 'source_levels': 'source_level_1'} -%}
-- For each attribute the customers with a value are those with an origin, each once. Sets are compared by number and
-- sum of hashes, which costs a tenth of comparing them customer by customer.
with
customers as (
    select
        hash(customer_key)::hugeint as customer_hash,
        {% for attribute in survivorship() -%}
        {{ told.get(attribute, attribute) }} is not null as {{ attribute }}{{ "," if not loop.last }}
        {% endfor %}
    from {{ ref('dim_customer') }}
),
values_told as (
    {% for attribute in survivorship() -%}
    {{ "union all" if not loop.first }}
    select
        '{{ attribute }}' as attribute,
        count(*) as customers,
        sum(customer_hash) as fingerprint
    from customers
    where {{ attribute }}
    {% endfor %}
),
origins as (
    select
        attribute,
        count(*) as customers,
        sum(hash(customer_key)::hugeint) as fingerprint
    from {{ ref('customer_attribute_origin') }}
    group by attribute
)
select
    attribute,
    values_told.customers as with_a_value,
    origins.customers as with_an_origin
from values_told
full join origins using (attribute)
where
    coalesce(values_told.customers, 0) <> coalesce(origins.customers, 0)
    or values_told.fingerprint is distinct from origins.fingerprint
