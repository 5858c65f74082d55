select
    substr(key, length('patient:saas:') + 1) as patient_id,
    customer_key
from {{ source('identity', 'assignment') }}
where present and starts_with(key, 'patient:')
