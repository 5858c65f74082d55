-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    payment_id,
    bill_id,
    patient_id,
    clinic_id,
    method,
    amount,
    cashier_id,
    paid_at,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'saas__payments') }}
where is_deleted is distinct from true and not starts_with(patient_id, 'erased-')
