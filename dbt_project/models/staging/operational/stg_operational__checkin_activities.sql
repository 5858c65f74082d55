-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    activity_id,
    activity_name,
    status,
    every_n_days,
    cap,
    allows_postponing,
    starts_on,
    ends_on,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'operational__checkin_activities') }}
where is_deleted is distinct from true
