-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    clinic_id,
    clinic_name,
    is_headquarters,
    clinic_type,
    province,
    city,
    phone,
    opened_on,
    cdp_status,
    cdp_expires_on,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'saas__clinics') }}
where is_deleted is distinct from true
