-- When the customer last did something: came, paid, used the mini program or the official account, checked in, reviewed.
-- What staff did (follow-ups, remarks) is not the customer's activity.
with
patient_customers as (select * from {{ ref('int_patient_customer') }}),
by_patient as (
    select patient_id, max(visited_at) as active_at
    from {{ ref('stg_saas__visits') }}
    where status <> '已取消'
    group by patient_id
    union all
    select patient_id, max(paid_at)
    from {{ ref('stg_saas__payments') }}
    group by patient_id
    union all
    select patient_id, max(checked_in_at)
    from {{ ref('stg_operational__checkin_slots') }}
    where recorded_by_staff_id is null
    group by patient_id
    union all
    select patient_id, max(submitted_at)
    from {{ ref('stg_operational__reviews') }}
    group by patient_id
),
by_user as (
    select app_id, openid, max(occurred_at) as active_at
    from {{ ref('stg_mini_program__events') }}
    group by app_id, openid
),
by_fan as (
    select app_id, openid, max(occurred_at) as active_at
    from {{ ref('stg_official_account__follow_events') }}
    where event <> '取消关注'
    group by app_id, openid
),
active_moments as (
    select customer_key, active_at from by_patient inner join patient_customers using (patient_id)
    union all
    select customer_key, active_at from by_user inner join {{ ref('int_mini_program_customer') }} using (app_id, openid)
    union all
    select customer_key, active_at from by_fan inner join {{ ref('int_fan_customer') }} using (app_id, openid)
)
select customer_key, max(active_at) as last_active_at
from active_moments
where active_at is not null
group by customer_key
