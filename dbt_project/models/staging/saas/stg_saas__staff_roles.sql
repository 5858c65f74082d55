-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    staff_id,
    role,
    clinic_id,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'saas__staff_roles') }}
where is_deleted is distinct from true
