-- Who brought whom: what became of the brought customer is told with it, so that a referral can be valued.
with
referrals as (
    select related_customer_key as customer_key, customer_key as referred_customer_key, known_at as referred_at
    from {{ ref('customer_relation') }}
    where relation = '推荐人'
),
visits as (select customer_key, first_visit_at from {{ ref('int_customer_visit') }}),
payments as (select customer_key, new_money_paid_fen from {{ ref('int_customer_payment') }})
select
    referrals.customer_key,
    referrals.referred_customer_key,
    visits.first_visit_at is not null as has_visited,
    coalesce(payments.new_money_paid_fen, 0) > 0 as has_paid,
    referrals.referred_at,
    {{ local_date('referrals.referred_at') }} as referred_on
from referrals
left join visits on referrals.referred_customer_key = visits.customer_key
left join payments on referrals.referred_customer_key = payments.customer_key
