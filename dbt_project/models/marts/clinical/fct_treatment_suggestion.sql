with
suggestions as (select * from {{ ref('stg_saas__treatment_suggestions') }}),
customers as (select patient_id, customer_key from {{ ref('int_patient_customer') }})
select
    suggestions.suggestion_id,
    customers.customer_key,
    suggestions.patient_id,
    suggestions.clinic_id,
    suggestions.doctor_id,
    suggestions.suggestion_name,
    suggestions.symptoms,
    suggestions.tooth_positions,
    suggestions.priority,
    suggestions.review_status,
    suggestions.charge_status,
    suggestions.suggested_at,
    {{ local_date('suggestions.suggested_at') }} as suggested_on
from suggestions
inner join customers on suggestions.patient_id = customers.patient_id
