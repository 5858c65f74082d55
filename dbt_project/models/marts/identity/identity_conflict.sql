with
conflicts as (select * from {{ source('identity', 'conflict') }}),
identities as (select identity_key, one_id from {{ ref('dim_identity') }})
select
    conflicts.night as since_night,
    conflicts.value_type,
    conflicts.value_masked,
    conflicts.tier,
    conflicts.left_key,
    left_identities.one_id as left_one_id,
    conflicts.right_key,
    right_identities.one_id as right_one_id,
    conflicts.reason
from conflicts
left join identities as left_identities on conflicts.left_key = left_identities.identity_key
left join identities as right_identities on conflicts.right_key = right_identities.identity_key
