with
bills as (select * from {{ ref('stg_saas__bills') }}),
customers as (select patient_id, customer_key from {{ ref('int_patient_customer') }}),
paid_per_bill as (
    select bill_id, cast(sum(amount) as bigint) as paid_fen from {{ ref('stg_saas__payments') }} group by bill_id
),
refunded_per_bill as (
    select bill_id, cast(sum(amount) as bigint) as refunded_fen from {{ ref('stg_saas__refunds') }} group by bill_id
),
settled_bills as (
    select
        bills.*,
        coalesce(paid_per_bill.paid_fen, 0) as paid_fen,
        coalesce(refunded_per_bill.refunded_fen, 0) as refunded_fen
    from bills
    left join paid_per_bill on bills.bill_id = paid_per_bill.bill_id
    left join refunded_per_bill on bills.bill_id = refunded_per_bill.bill_id
)
select
    settled_bills.bill_id,
    customers.customer_key,
    settled_bills.patient_id,
    settled_bills.clinic_id,
    settled_bills.visit_id,
    settled_bills.doctor_id,
    settled_bills.biller_id,
    settled_bills.bill_type,
    settled_bills.status,
    settled_bills.original_amount as original_fen,
    settled_bills.discount_amount as discount_fen,
    settled_bills.receivable_amount as receivable_fen,
    settled_bills.paid_fen,
    settled_bills.refunded_fen,
    settled_bills.paid_fen - settled_bills.refunded_fen as net_paid_fen,
    -- A refund of a settled bill takes the charge back with the money: only an open bill leaves something owed.
    case
        when settled_bills.status in ('未收费', '部分收费')
            then greatest(settled_bills.receivable_amount - settled_bills.paid_fen + settled_bills.refunded_fen, 0)
        else 0
    end as owed_fen,
    settled_bills.billed_at,
    {{ local_date('settled_bills.billed_at') }} as billed_on
from settled_bills
inner join customers on settled_bills.patient_id = customers.patient_id
