-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    app_id,
    openid,
    unionid,
    is_subscribed,
    subscribe_scene,
    qr_scene,
    remark,
    subscribed_at,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'official_account__fans') }}
where is_deleted is distinct from true
