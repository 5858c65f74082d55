-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    bill_item_id,
    bill_id,
    patient_id,
    item_code,
    item_name,
    item_category,
    tooth_positions,
    quantity,
    unit_price,
    receivable_amount,
    paid_amount,
    doctor_id,
    billed_at,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'saas__bill_items') }}
where is_deleted is distinct from true and not starts_with(patient_id, 'erased-')
