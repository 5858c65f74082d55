{{ config(severity='warn') }}
-- One row for each bill whose items do not add up; bills without items (top-ups) are left alone.
with
items_per_bill as (
    select bill_id, sum(receivable_fen) as items_fen from {{ ref('fct_bill_item') }} group by bill_id
)
select bills.bill_id, bills.receivable_fen, items_per_bill.items_fen
from {{ ref('fct_bill') }} as bills
inner join items_per_bill on bills.bill_id = items_per_bill.bill_id
where bills.receivable_fen <> items_per_bill.items_fen
