-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    patient_id,
    clinic_id,
    medical_record_no,
    name,
    nickname,
    gender,
    birth_date,
    id_number,
    city,
    patient_type,
    source_level_1,
    source_level_2,
    source_level_3,
    remark,
    member_level,
    online_consultant_id,
    consultant_id,
    responsible_doctor_id,
    customer_service_id,
    referrer_patient_id,
    is_deleted,
    created_at,
    updated_at,
    _batch_id
from {{ source('raw', 'saas__patients') }}
where is_deleted is distinct from true and not starts_with(patient_id, 'erased-')
