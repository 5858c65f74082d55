{{ config(materialized='view') }}
-- Both sources number their rows and batches on their own; the prefix keeps them apart.
select
    'track:' || event_id as lead_event_id,
    lead_id,
    'track' as event_source,
    event,
    to_staff_id as staff_id,
    from_staff_id,
    null as channel,
    null as result,
    null as content,
    occurred_at,
    'assignment_events/' || _batch_id as _batch_id
from {{ ref('stg_leads__assignment_events') }}
union all
select
    'follow_up:' || follow_up_id,
    lead_id,
    'follow_up',
    '跟进',
    staff_id,
    null,
    channel,
    result,
    content,
    followed_up_at,
    'follow_ups/' || _batch_id
from {{ ref('stg_leads__follow_ups') }}
