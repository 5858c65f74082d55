-- written by dbt_project/scripts/generate_staging.py from the contracts; do not edit
select
    review_id,
    visit_id,
    patient_id,
    clinic_id,
    doctor_id,
    score10,
    review_tags,
    comment,
    is_on_wall,
    reply_count,
    submitted_at,
    is_deleted,
    updated_at,
    _batch_id
from {{ source('raw', 'operational__reviews') }}
where is_deleted is distinct from true
