-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    transfer_id,
    coupon_id,
    from_patient_id,
    to_patient_id,
    transfer_kind,
    state,
    operator_staff_id,
    created_at,
    claimed_at,
    updated_at,
    _batch_id
from {{ source('raw', 'operational__coupon_transfers') }}
