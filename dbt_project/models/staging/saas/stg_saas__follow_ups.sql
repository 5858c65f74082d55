-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    follow_up_id,
    patient_id,
    clinic_id,
    staff_id,
    follow_up_kind,
    channel,
    status,
    result,
    content,
    planned_at,
    done_at,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'saas__follow_ups') }}
where is_deleted is distinct from true
