-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    refund_id,
    bill_id,
    payment_id,
    patient_id,
    clinic_id,
    method,
    amount,
    reason,
    refunded_at,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'saas__refunds') }}
where is_deleted is distinct from true and not starts_with(patient_id, 'erased-')
