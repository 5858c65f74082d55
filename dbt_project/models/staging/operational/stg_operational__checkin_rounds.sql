-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    round_id,
    activity_id,
    patient_id,
    clinic_id,
    round_no,
    origin,
    inviter_staff_id,
    follow_staff_id,
    status,
    close_reason,
    anchor_date,
    started_at,
    closed_at,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'operational__checkin_rounds') }}
where is_deleted is distinct from true
