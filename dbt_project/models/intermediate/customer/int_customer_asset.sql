with
customers as (select * from {{ ref('int_patient_customer') }}),
stored_value as (
    select
        customers.customer_key,
        sum(accounts.principal_amount)::bigint as stored_value_principal_fen,
        sum(accounts.bonus_amount)::bigint as stored_value_bonus_fen
    from {{ ref('stg_saas__stored_value_accounts') }} as accounts
    inner join customers using (patient_id)
    where accounts.status <> '已注销'
    group by customers.customer_key
),
-- A patient file is a wallet. Points past their day are gone even before the expiry entry is booked; debits that name
-- no bucket have used up the earliest expiring points first.
wallets as (
    select
        patient_id,
        sum(points) as points_sum,
        coalesce(sum(points) filter (where expires_on < {{ as_of() }}), 0) as expired_points,
        coalesce(-sum(points) filter (where points < 0 and expires_on is null), 0) as unassigned_debits
    from {{ ref('stg_operational__points_entries') }}
    group by patient_id
),
points as (
    select
        customers.customer_key,
        sum(greatest(points_sum - greatest(expired_points - unassigned_debits, 0), 0))::bigint as points_balance
    from wallets
    inner join customers using (patient_id)
    group by customers.customer_key
),
coupons as (
    select
        customers.customer_key,
        count(*) as usable_coupon_count
    from {{ ref('stg_operational__coupons') }} as coupons
    inner join {{ ref('stg_operational__coupon_templates') }} as templates using (coupon_template_id)
    inner join customers using (patient_id)
    where
        coupons.state = '可使用'
        and coupons.valid_to >= {{ as_of() }}
        and templates.coupon_kind <> '流量大使券'
    group by customers.customer_key
)
select *
from stored_value
full join points using (customer_key)
full join coupons using (customer_key)
