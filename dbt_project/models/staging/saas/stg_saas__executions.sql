-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    execution_id,
    patient_id,
    clinic_id,
    bill_item_id,
    item_names,
    created_at,
    stage,
    is_strict_flow,
    step_name,
    step_status,
    step_executed_at,
    step_doctor_id,
    step_nurse_id,
    step_assistant_id,
    step_auxiliary_nurse_id,
    step_other_staff_id,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'saas__executions') }}
where is_deleted is distinct from true and not starts_with(patient_id, 'erased-')
