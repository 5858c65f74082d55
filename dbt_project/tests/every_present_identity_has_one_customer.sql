-- Every source record of tonight belongs to exactly one customer that is listed.
select
    identities.key,
    count(customers.customer_key) as customers
from {{ ref('int_identity') }} as identities
left join {{ ref('dim_identity') }} as assigned on identities.key = assigned.identity_key and assigned.is_present
left join {{ ref('dim_customer') }} as customers using (customer_key)
group by identities.key
having count(customers.customer_key) <> 1
