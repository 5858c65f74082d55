-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    corp_id,
    external_user_id,
    unionid,
    nickname,
    gender,
    contact_type,
    is_deleted,
    created_at,
    updated_at,
    _batch_id
from {{ source('raw', 'wecom__external_contacts') }}
where is_deleted is distinct from true
