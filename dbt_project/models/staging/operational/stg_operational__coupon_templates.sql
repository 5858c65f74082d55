-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    coupon_template_id,
    coupon_name,
    coupon_kind,
    face_amount,
    min_spend_amount,
    clinic_ids,
    is_transferable,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'operational__coupon_templates') }}
where is_deleted is distinct from true
