select
    split_part(key, ':', 2) as corp_id,
    substr(key, length('wecom_contact') + length(split_part(key, ':', 2)) + 3) as external_user_id,
    customer_key
from {{ source('identity', 'assignment') }}
where present and starts_with(key, 'wecom_contact:')
