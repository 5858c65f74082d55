select
    split_part(key, ':', 2) as app_id,
    substr(key, length('official_account_fan') + length(split_part(key, ':', 2)) + 3) as openid,
    customer_key
from {{ source('identity', 'assignment') }}
where present and starts_with(key, 'official_account_fan:')
