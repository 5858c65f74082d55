-- Each listed customer has one open version, nobody else has one, and versions of a customer do not overlap.
with
versions as (select customer_key, valid_from, valid_to from {{ ref('customer_attribute_history') }}),
customers as (select customer_key from {{ ref('dim_customer') }}),
open_versions as (
    select
        customer_key,
        count(*) as open_count
    from versions
    where valid_to is null
    group by customer_key
),
wrongly_open as (
    select customer_key
    from customers
    full join open_versions using (customer_key)
    where customers.customer_key is null or open_versions.open_count is distinct from 1
),
-- Only customers with a closed version can overlap; on most nights these are few.
customers_with_past as (select distinct customer_key from versions where valid_to is not null),
ordered_versions as (
    select
        customer_key,
        valid_from,
        valid_to,
        lead(valid_from) over (partition by customer_key order by valid_from) as next_from
    from versions
    semi join customers_with_past using (customer_key)
),
overlapping as (
    select customer_key
    from ordered_versions
    where valid_to <= valid_from or (next_from is not null and coalesce(valid_to > next_from, true))
)
select customer_key from wrongly_open
union all
select customer_key from overlapping
