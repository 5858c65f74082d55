-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    event_id,
    app_id,
    openid,
    event,
    page,
    object_name,
    campaign_name,
    channel,
    amount,
    duration_seconds,
    occurred_at,
    _batch_id
from {{ source('raw', 'mini_program__events') }}
