-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    bill_id,
    patient_id,
    clinic_id,
    visit_id,
    doctor_id,
    biller_id,
    bill_type,
    status,
    original_amount,
    discount_amount,
    receivable_amount,
    billed_at,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'saas__bills') }}
where is_deleted is distinct from true and not starts_with(patient_id, 'erased-')
