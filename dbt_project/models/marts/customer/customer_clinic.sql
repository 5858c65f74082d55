-- A clinic named twice is one clinic: the filters mean sets.
with
customers as (select customer_key, clinic_ids from {{ ref('dim_customer') }})
select customer_key, unnest(list_distinct(clinic_ids)) as clinic_id from customers
