-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    corp_id,
    external_user_id,
    wecom_user_id,
    phone,
    position,
    noted_at,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'wecom__remark_phones') }}
where is_deleted is distinct from true
