-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    lead_id,
    clinic_id,
    name,
    phone,
    gender,
    channel_level_1,
    channel_level_2,
    channel_level_3,
    intention_item,
    status,
    owner_staff_id,
    converted_patient_id,
    converted_at,
    is_deleted,
    created_at,
    updated_at,
    _batch_id
from {{ source('raw', 'leads__leads') }}
where is_deleted is distinct from true
