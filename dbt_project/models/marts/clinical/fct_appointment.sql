with
appointments as (select * from {{ ref('stg_saas__appointments') }}),
customers as (select patient_id, customer_key from {{ ref('int_patient_customer') }})
select
    appointments.appointment_id,
    customers.customer_key,
    appointments.patient_id,
    appointments.clinic_id,
    appointments.doctor_id,
    appointments.created_by_staff_id,
    appointments.visit_type,
    appointments.item_name,
    appointments.channel,
    appointments.status,
    appointments.arrived_at is not null as has_arrived,
    appointments.scheduled_at,
    {{ local_date('appointments.scheduled_at') }} as scheduled_on,
    appointments.arrived_at,
    appointments.left_at,
    appointments.cancelled_at,
    appointments.created_at
from appointments
inner join customers on appointments.patient_id = customers.patient_id
