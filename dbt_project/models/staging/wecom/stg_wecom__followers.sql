-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    corp_id,
    external_user_id,
    wecom_user_id,
    remark,
    description,
    add_way,
    state,
    followed_at,
    removed_at,
    removed_by,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'wecom__followers') }}
where is_deleted is distinct from true
