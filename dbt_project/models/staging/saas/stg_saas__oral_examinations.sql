-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    examination_id,
    patient_id,
    clinic_id,
    visit_id,
    doctor_id,
    health_grade,
    follow_up_staff_id,
    follow_up_status,
    next_follow_up_on,
    examined_at,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'saas__oral_examinations') }}
where is_deleted is distinct from true and not starts_with(patient_id, 'erased-')
