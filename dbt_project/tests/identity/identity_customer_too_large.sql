select
    one_id,
    identity_count
from {{ ref('dim_customer') }}
where identity_count > {{ var('identity_limits').customer_records }}
