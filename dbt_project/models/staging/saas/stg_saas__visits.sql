-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    visit_id,
    appointment_id,
    patient_id,
    clinic_id,
    doctor_id,
    nurse_id,
    visit_type,
    department,
    status,
    visited_at,
    left_at,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'saas__visits') }}
where is_deleted is distinct from true and not starts_with(patient_id, 'erased-')
