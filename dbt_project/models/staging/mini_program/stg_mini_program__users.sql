-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    app_id,
    openid,
    unionid,
    nickname,
    avatar_url,
    phone,
    phone_authorized_at,
    is_deleted,
    registered_at,
    updated_at,
    _batch_id
from {{ source('raw', 'mini_program__users') }}
where is_deleted is distinct from true
