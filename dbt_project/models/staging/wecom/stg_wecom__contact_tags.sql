-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    corp_id,
    external_user_id,
    wecom_user_id,
    tag_id,
    group_name,
    tag_name,
    tag_type,
    tagged_at,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'wecom__contact_tags') }}
where is_deleted is distinct from true
