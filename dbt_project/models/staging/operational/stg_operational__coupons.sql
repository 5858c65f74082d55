-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    coupon_id,
    coupon_template_id,
    patient_id,
    state,
    issued_reason,
    issued_at,
    valid_from,
    valid_to,
    used_at,
    used_clinic_id,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'operational__coupons') }}
where is_deleted is distinct from true
