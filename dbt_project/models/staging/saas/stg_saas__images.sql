-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    image_id,
    patient_id,
    clinic_id,
    visit_id,
    modality,
    taken_at,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'saas__images') }}
where is_deleted is distinct from true and not starts_with(patient_id, 'erased-')
