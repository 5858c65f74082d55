select
    clinic_id,
    clinic_name,
    is_headquarters,
    clinic_type,
    province,
    city,
    phone,
    opened_on,
    cdp_status,
    cdp_expires_on
from {{ ref('stg_saas__clinics') }}
