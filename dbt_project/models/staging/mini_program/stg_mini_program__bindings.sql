-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    binding_id,
    app_id,
    openid,
    patient_id,
    relation,
    bound_at,
    unbound_at,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'mini_program__bindings') }}
where is_deleted is distinct from true
