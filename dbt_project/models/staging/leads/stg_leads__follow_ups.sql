-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    follow_up_id,
    lead_id,
    staff_id,
    channel,
    result,
    content,
    followed_up_at,
    _batch_id
from {{ source('raw', 'leads__follow_ups') }}
