{{ config(severity='warn') }}
-- Money whose bill is not among the bills, or bills whose payer has no file: the two totals then differ.
with
by_bills as (select coalesce(sum(net_paid_fen), 0) as fen from {{ ref('fct_bill') }}),
by_payments as (select coalesce(sum(amount_fen), 0) as fen from {{ ref('fct_payment') }})
select by_bills.fen as fen_by_bills, by_payments.fen as fen_by_payments
from by_bills
cross join by_payments
where by_bills.fen <> by_payments.fen
