-- Paid by stored value, points or coupons is no new money: `cash` leaves those methods out.
{% set without_new_money = "('储值', '积分抵扣', '优惠券')" %}
with
customers as (select * from {{ ref('int_patient_customer') }}),
movements as (
    select patient_id, method, amount, paid_at
    from {{ ref('stg_saas__payments') }}
    union all
    select patient_id, method, -amount, null
    from {{ ref('stg_saas__refunds') }}
),
movement_totals as (
    select
        customers.customer_key,
        sum(movements.amount)::bigint as paid_fen,
        coalesce(
            sum(movements.amount) filter (where movements.method not in {{ without_new_money }}), 0
        )::bigint as cash_paid_fen,
        min(movements.paid_at) as first_paid_at,
        max(movements.paid_at) as last_paid_at
    from movements
    inner join customers using (patient_id)
    group by customers.customer_key
),
bill_totals as (
    select
        customers.customer_key,
        count(*) as bill_count
    from {{ ref('stg_saas__bills') }} as bills
    inner join customers using (patient_id)
    where bills.status <> '已作废'
    group by customers.customer_key
)
select *
from movement_totals
full join bill_totals using (customer_key)
