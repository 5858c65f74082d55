-- An id is active exactly when a customer carries it. The two sides meet by their number, which costs less than by
-- text.
with
active_ids as (select customer_key, one_id from {{ source('identity', 'registry') }} where status = 'active'),
customers as (select customer_key, one_id from {{ ref('dim_customer') }})
select
    active_ids.one_id as active_one_id,
    customers.one_id as listed_one_id
from active_ids
full join customers using (customer_key)
where active_ids.one_id is distinct from customers.one_id
