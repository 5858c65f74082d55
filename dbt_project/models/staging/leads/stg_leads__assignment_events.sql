-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    event_id,
    lead_id,
    event,
    from_staff_id,
    to_staff_id,
    occurred_at,
    _batch_id
from {{ source('raw', 'leads__assignment_events') }}
