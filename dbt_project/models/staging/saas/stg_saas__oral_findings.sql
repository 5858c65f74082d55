-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    finding_id,
    examination_id,
    patient_id,
    symptom,
    tooth_positions,
    severity,
    suggested_treatment_time,
    found_at,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'saas__oral_findings') }}
where is_deleted is distinct from true and not starts_with(patient_id, 'erased-')
