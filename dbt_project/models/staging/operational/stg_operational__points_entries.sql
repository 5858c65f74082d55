-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    entry_id,
    patient_id,
    entry_kind,
    points,
    reason,
    source_id,
    expires_on,
    booked_at,
    _batch_id
from {{ source('raw', 'operational__points_entries') }}
