with
assignments as (select * from {{ source('identity', 'assignment') }}),
identities as (select * from {{ ref('int_identity') }}),
aliases as (select * from {{ ref('one_id_alias') }})
select
    assignments.key as identity_key,
    split_part(assignments.key, ':', 1) as kind,
    split_part(assignments.key, ':', 2) as scope,
    substr(
        assignments.key,
        length(split_part(assignments.key, ':', 1)) + length(split_part(assignments.key, ':', 2)) + 3
    ) as source_id,
    -- A vanished record keeps the id it had; that id may have been merged since.
    coalesce(aliases.customer_key, assignments.customer_key)::integer as customer_key,
    coalesce(aliases.one_id, assignments.one_id) as one_id,
    assignments.present as is_present,
    identities.first_seen_at,
    assignments.reason_value_type,
    assignments.reason_value_masked,
    assignments.reason_via_key
from assignments
left join identities using (key)
left join aliases on assignments.one_id = aliases.old_one_id
where not {{ is_erased_key('assignments.key') }}
