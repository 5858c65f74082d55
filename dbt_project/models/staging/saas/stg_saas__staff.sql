-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    staff_id,
    staff_name,
    phone,
    clinic_id,
    status,
    wecom_user_id,
    hired_on,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'saas__staff') }}
where is_deleted is distinct from true
