-- No payment is counted twice or lost on its way into a bill: both sides of the sum, told by two models.
with
bills as (select bill_id, net_paid_fen from {{ ref('fct_bill') }}),
payments as (select bill_id, amount from {{ ref('stg_saas__payments') }}),
refunds as (select bill_id, amount from {{ ref('stg_saas__refunds') }}),
entries as (
    select bill_id, amount from payments
    union all
    select bill_id, -amount from refunds
),
by_bills as (select coalesce(sum(net_paid_fen), 0) as fen from bills),
by_entries as (select coalesce(sum(amount), 0) as fen from entries semi join bills using (bill_id))
select by_bills.fen as fen_by_bills, by_entries.fen as fen_by_entries
from by_bills
cross join by_entries
where by_bills.fen <> by_entries.fen
