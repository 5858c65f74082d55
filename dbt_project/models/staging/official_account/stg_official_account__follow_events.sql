-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    event_id,
    app_id,
    openid,
    event,
    event_key,
    occurred_at,
    _batch_id
from {{ source('raw', 'official_account__follow_events') }}
