-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    card_asset_id,
    patient_id,
    card_name,
    display_name,
    card_type,
    publish_status,
    publish_channel,
    deductible_items,
    total_times,
    used_times,
    acquired_at,
    valid_to,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'saas__card_assets') }}
where is_deleted is distinct from true and not starts_with(patient_id, 'erased-')
