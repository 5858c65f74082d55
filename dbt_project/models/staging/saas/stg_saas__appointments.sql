-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    appointment_id,
    patient_id,
    clinic_id,
    doctor_id,
    created_by_staff_id,
    visit_type,
    item_name,
    channel,
    status,
    scheduled_at,
    arrived_at,
    left_at,
    cancelled_at,
    is_deleted,
    created_at,
    updated_at,
    _batch_id
from {{ source('raw', 'saas__appointments') }}
where is_deleted is distinct from true and not starts_with(patient_id, 'erased-')
