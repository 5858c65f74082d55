-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    round_id,
    slot_no,
    activity_id,
    patient_id,
    clinic_id,
    due_on,
    status,
    checked_in_on,
    checked_in_at,
    recorded_by_staff_id,
    photo_count,
    evaluation_status,
    evaluator_staff_id,
    evaluated_at,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'operational__checkin_slots') }}
where is_deleted is distinct from true
