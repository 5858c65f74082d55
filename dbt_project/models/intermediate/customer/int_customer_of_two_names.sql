-- Two names are two persons. Records that operators merged, be it through one that is gone, are one person, whose name
-- is that of the first file that has one; who belongs to the customer beside them has to have that name.
with recursive
said as (select a, b from {{ source('identity', 'override_seen') }} where kind = 'merge'),
pairs as (
    select a as key, b as other_key from said
    union all
    select b as key, a as other_key from said
),
merged as (
    select key, other_key from pairs
    union
    select merged.key, pairs.other_key
    from merged
    inner join pairs on merged.other_key = pairs.key
),
persons as (
    select key, min(other_key) as person from merged group by key
),
names as (
    select
        assigned.customer_key,
        assigned.one_id,
        identities.name_norm
    from {{ ref('int_identity') }} as identities
    inner join {{ ref('dim_identity') }} as assigned on identities.key = assigned.identity_key
    left join persons on identities.key = persons.key
    where identities.kind = 'patient' and identities.name_norm is not null
    qualify row_number() over (
        partition by assigned.customer_key, coalesce(persons.person, identities.key)
        order by identities.first_seen_at, identities.key
    ) = 1
)
select any_value(one_id) as one_id
from names
group by customer_key
having min(name_norm) <> max(name_norm)
