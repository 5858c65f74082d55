with
examinations as (select * from {{ ref('stg_saas__oral_examinations') }}),
customers as (select patient_id, customer_key from {{ ref('int_patient_customer') }})
select
    examinations.examination_id,
    customers.customer_key,
    examinations.patient_id,
    examinations.clinic_id,
    examinations.visit_id,
    examinations.doctor_id,
    examinations.health_grade,
    examinations.follow_up_staff_id,
    examinations.follow_up_status,
    examinations.next_follow_up_on,
    examinations.examined_at,
    {{ local_date('examinations.examined_at') }} as examined_on
from examinations
inner join customers on examinations.patient_id = customers.patient_id
