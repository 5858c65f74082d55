with
payment_totals as (
    select
        customer_key,
        sum(amount_fen)::bigint as paid_fen,
        coalesce(sum(amount_fen) filter (where is_new_money), 0)::bigint as new_money_paid_fen,
        min(paid_at) filter (where payment_kind = '收款') as first_paid_at,
        max(paid_at) filter (where payment_kind = '收款') as last_paid_at
    from {{ ref('fct_payment') }}
    group by customer_key
),
bill_totals as (
    select
        customer_key,
        count(*) as bill_count
    from {{ ref('fct_bill') }}
    where status <> '已作废'
    group by customer_key
)
select *
from payment_totals
full join bill_totals using (customer_key)
