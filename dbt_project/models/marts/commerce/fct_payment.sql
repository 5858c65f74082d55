with
payments as (select * from {{ ref('stg_saas__payments') }}),
refunds as (select * from {{ ref('stg_saas__refunds') }}),
customers as (select patient_id, customer_key from {{ ref('int_patient_customer') }}),
entries as (
    select
        '收款' as payment_kind,
        payment_id,
        bill_id,
        patient_id,
        clinic_id,
        method,
        amount as amount_fen,
        null as original_payment_id,
        cashier_id,
        null as refund_reason,
        paid_at
    from payments
    union all
    select '退款', refund_id, bill_id, patient_id, clinic_id, method, -amount, payment_id, null, reason, refunded_at
    from refunds
)
select
    entries.payment_kind,
    entries.payment_id,
    entries.bill_id,
    customers.customer_key,
    entries.patient_id,
    entries.clinic_id,
    entries.method,
    entries.method not in ('储值', '积分抵扣', '优惠券') as is_new_money,
    entries.amount_fen,
    entries.original_payment_id,
    entries.cashier_id,
    entries.refund_reason,
    entries.paid_at,
    {{ local_date('entries.paid_at') }} as paid_on
from entries
inner join customers on entries.patient_id = customers.patient_id
