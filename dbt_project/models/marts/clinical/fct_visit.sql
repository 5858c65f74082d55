with
visits as (select * from {{ ref('stg_saas__visits') }}),
customers as (select patient_id, customer_key from {{ ref('int_patient_customer') }})
select
    visits.visit_id,
    customers.customer_key,
    visits.patient_id,
    visits.clinic_id,
    visits.appointment_id,
    visits.doctor_id,
    visits.nurse_id,
    visits.visit_type,
    visits.department,
    visits.status,
    visits.visited_at,
    {{ local_date('visits.visited_at') }} as visited_on,
    visits.left_at
from visits
inner join customers on visits.patient_id = customers.patient_id
