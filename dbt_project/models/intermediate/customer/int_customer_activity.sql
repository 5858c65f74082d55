-- When the customer last did something: came, paid, used the mini program or the official account, checked in,
-- reviewed. What staff did (follow-ups, remarks, made-up check-ins) is not the customer's activity.
with
active_moments as (
    select customer_key, last_visit_at as active_at from {{ ref('int_customer_visit') }}
    union all
    select customer_key, last_paid_at from {{ ref('int_customer_payment') }}
    union all
    select customer_key, max(occurred_at) from {{ ref('fct_mini_program_event') }} group by customer_key
    union all
    select customer_key, max(occurred_at)
    from {{ ref('fct_official_account_event') }}
    where event <> '取消关注'
    group by customer_key
    union all
    select customer_key, max(checked_in_at)
    from {{ ref('fct_checkin_slot') }}
    where not is_made_up
    group by customer_key
    union all
    select customer_key, max(submitted_at) from {{ ref('fct_review') }} group by customer_key
)
select
    customer_key,
    max(active_at) as last_active_at
from active_moments
where active_at is not null and customer_key is not null
group by customer_key
