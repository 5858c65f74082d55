-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    patient_phone_id,
    patient_id,
    phone,
    relation,
    is_primary,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'saas__patient_phones') }}
where is_deleted is distinct from true
