select
    substr(key, length('lead:leads:') + 1) as lead_id,
    customer_key
from {{ source('identity', 'assignment') }}
where present and starts_with(key, 'lead:')
