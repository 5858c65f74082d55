-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    account_id,
    patient_id,
    card_name,
    principal_amount,
    bonus_amount,
    status,
    opened_at,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'saas__stored_value_accounts') }}
where is_deleted is distinct from true and not starts_with(patient_id, 'erased-')
