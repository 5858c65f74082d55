with
findings as (select * from {{ ref('stg_saas__oral_findings') }}),
examinations as (select examination_id, clinic_id from {{ ref('stg_saas__oral_examinations') }}),
customers as (select patient_id, customer_key from {{ ref('int_patient_customer') }})
select
    findings.finding_id,
    customers.customer_key,
    findings.examination_id,
    examinations.clinic_id,
    findings.symptom,
    findings.tooth_positions,
    findings.severity,
    findings.suggested_treatment_time,
    findings.found_at,
    {{ local_date('findings.found_at') }} as found_on
from findings
inner join customers on findings.patient_id = customers.patient_id
left join examinations on findings.examination_id = examinations.examination_id
