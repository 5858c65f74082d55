with recursive
registry as (select * from {{ source('identity', 'registry') }}),
merged as (select one_id, customer_key, merged_into from registry where merged_into is not null),
-- An id that was merged may have gone into an id that was merged later.
steps as (
    select one_id as old_one_id, customer_key as old_customer_key, merged_into as one_id from merged
    union all
    select steps.old_one_id, steps.old_customer_key, merged.merged_into
    from steps
    inner join merged using (one_id)
)
select
    steps.old_one_id,
    steps.old_customer_key,
    steps.one_id,
    registry.customer_key
from steps
inner join registry using (one_id)
where registry.merged_into is null
