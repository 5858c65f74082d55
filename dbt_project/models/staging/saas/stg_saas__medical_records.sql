-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    medical_record_id,
    visit_id,
    patient_id,
    clinic_id,
    doctor_id,
    record_type,
    chief_complaint,
    diagnosis,
    treatment,
    recorded_at,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'saas__medical_records') }}
where is_deleted is distinct from true and not starts_with(patient_id, 'erased-')
