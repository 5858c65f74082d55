with
bill_items as (select * from {{ ref('stg_saas__bill_items') }}),
bills as (select bill_id, bill_type, clinic_id from {{ ref('stg_saas__bills') }}),
customers as (select patient_id, customer_key from {{ ref('int_patient_customer') }})
select
    bill_items.bill_item_id,
    bill_items.bill_id,
    customers.customer_key,
    bills.bill_type,
    bills.clinic_id,
    bill_items.item_code,
    bill_items.item_name,
    bill_items.item_category,
    bill_items.tooth_positions,
    bill_items.quantity,
    bill_items.unit_price as unit_price_fen,
    bill_items.receivable_amount as receivable_fen,
    bill_items.paid_amount as paid_fen,
    bill_items.doctor_id,
    bill_items.billed_at,
    {{ local_date('bill_items.billed_at') }} as billed_on
from bill_items
inner join customers on bill_items.patient_id = customers.patient_id
left join bills on bill_items.bill_id = bills.bill_id
