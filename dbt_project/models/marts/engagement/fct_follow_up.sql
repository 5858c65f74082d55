with
follow_ups as (select * from {{ ref('stg_saas__follow_ups') }}),
customers as (select patient_id, customer_key from {{ ref('int_patient_customer') }})
select
    follow_ups.follow_up_id,
    customers.customer_key,
    follow_ups.patient_id,
    follow_ups.clinic_id,
    follow_ups.staff_id,
    follow_ups.follow_up_kind,
    follow_ups.channel,
    follow_ups.status,
    follow_ups.result,
    follow_ups.content,
    follow_ups.planned_at,
    {{ local_date('follow_ups.planned_at') }} as planned_on,
    follow_ups.done_at
from follow_ups
inner join customers on follow_ups.patient_id = customers.patient_id
