-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    suggestion_id,
    patient_id,
    clinic_id,
    doctor_id,
    suggestion_name,
    symptoms,
    tooth_positions,
    priority,
    review_status,
    charge_status,
    suggested_at,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'saas__treatment_suggestions') }}
where is_deleted is distinct from true and not starts_with(patient_id, 'erased-')
