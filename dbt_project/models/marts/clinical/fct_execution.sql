with
executions as (select * from {{ ref('stg_saas__executions') }}),
customers as (select patient_id, customer_key from {{ ref('int_patient_customer') }})
select
    executions.execution_id,
    customers.customer_key,
    executions.patient_id,
    executions.clinic_id,
    executions.bill_item_id,
    executions.item_names,
    executions.stage,
    executions.is_strict_flow,
    executions.step_name,
    executions.step_status,
    executions.step_executed_at,
    executions.step_doctor_id,
    executions.step_nurse_id,
    executions.step_assistant_id,
    executions.step_auxiliary_nurse_id,
    executions.step_other_staff_id,
    executions.created_at,
    {{ local_date('executions.created_at') }} as created_on
from executions
inner join customers on executions.patient_id = customers.patient_id
