with
medical_records as (select * from {{ ref('stg_saas__medical_records') }}),
customers as (select patient_id, customer_key from {{ ref('int_patient_customer') }})
select
    medical_records.medical_record_id,
    customers.customer_key,
    medical_records.patient_id,
    medical_records.clinic_id,
    medical_records.visit_id,
    medical_records.doctor_id,
    medical_records.record_type,
    medical_records.record_type in ('正畸初诊病历', '正畸复诊病历') as is_orthodontic,
    medical_records.chief_complaint,
    medical_records.diagnosis,
    medical_records.treatment,
    medical_records.recorded_at,
    {{ local_date('medical_records.recorded_at') }} as recorded_on
from medical_records
inner join customers on medical_records.patient_id = customers.patient_id
