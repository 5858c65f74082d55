-- Two names are two persons. Files that operators merged speak with one voice, that of the first; who belongs to the
-- customer beside them has to have its name.
with
merged_by_hand as (
    select distinct unnest([a, b]) as key from {{ source('identity', 'override_seen') }} where kind = 'merge'
),
files as (
    select
        assigned.customer_key,
        assigned.one_id,
        identities.name_norm,
        merged_by_hand.key is null as speaks_alone,
        row_number() over (
            partition by assigned.customer_key, merged_by_hand.key is null
            order by identities.first_seen_at, identities.key
        ) as place
    from {{ ref('int_identity') }} as identities
    inner join {{ ref('dim_identity') }} as assigned on identities.key = assigned.identity_key
    left join merged_by_hand on identities.key = merged_by_hand.key
    where identities.kind = 'patient'
)
select any_value(one_id) as one_id
from files
where name_norm is not null and (speaks_alone or place = 1)
group by customer_key
having min(name_norm) <> max(name_norm)
