select
    substr(key, length('lead:leads:') + 1) as lead_id,
    customer_key,
    one_id
from {{ source('identity', 'assignment') }}
where present and starts_with(key, 'lead:')
