-- An id is active exactly when a customer carries it.
with
active_ids as (select one_id from {{ source('identity', 'registry') }} where status = 'active'),
customers as (select one_id from {{ ref('dim_customer') }})
select
    active_ids.one_id as active_one_id,
    customers.one_id as listed_one_id
from active_ids
full join customers using (one_id)
where active_ids.one_id is null or customers.one_id is null
