-- Two names are two persons. Only an operator's merge may say otherwise: its files speak with one voice.
with
merged_by_hand as (
    select distinct to_one_id as one_id
    from {{ ref('identity_event') }}
    where override_id is not null
),
named as (select key, name_norm from {{ ref('int_identity') }} where kind = 'patient' and name_norm is not null),
customers_of_two_names as (
    select assigned.customer_key, any_value(assigned.one_id) as one_id
    from named
    inner join {{ ref('dim_identity') }} as assigned on named.key = assigned.identity_key
    where assigned.kind = 'patient'
    group by assigned.customer_key
    having min(named.name_norm) <> max(named.name_norm)
)
select one_id from customers_of_two_names anti join merged_by_hand using (one_id)
