-- Every source record of tonight belongs to exactly one customer that is listed. That it has one is a join; that it
-- has no second is asked by hash, and by key only where two hashes agree. No record stands twice in the first list
-- (identity refuses that) and no customer twice in dim_customer (its own test).
with
identities as (select key from {{ ref('int_identity') }}),
assigned as (
    select identity_key as key
    from {{ ref('dim_identity') }}
    semi join {{ ref('dim_customer') }} using (customer_key)
    where is_present
),
suspects as (select hash(key) as key_hash from assigned group by all having count(*) > 1),
assigned_twice as (
    select assigned.key
    from assigned
    semi join suspects on hash(assigned.key) = suspects.key_hash
    group by assigned.key
    having count(*) > 1
)
select key from identities anti join assigned using (key)
union all
select key from assigned_twice semi join identities using (key)
