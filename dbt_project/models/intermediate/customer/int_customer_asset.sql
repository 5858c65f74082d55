with
stored_value as (
    select
        customer_key,
        sum(principal_fen)::bigint as stored_value_principal_fen,
        sum(bonus_fen)::bigint as stored_value_bonus_fen
    from {{ ref('fct_stored_value_account') }}
    where status <> '已注销'
    group by customer_key
),
-- A patient file is a wallet. Points past their day are gone even before the expiry entry is booked; debits that name
-- no bucket have used up the earliest expiring points first.
wallets as (
    select
        customer_key,
        patient_id,
        sum(points) as points_sum,
        coalesce(sum(points) filter (where expires_on < {{ as_of() }}), 0) as expired_points,
        coalesce(-sum(points) filter (where points < 0 and expires_on is null), 0) as unassigned_debits
    from {{ ref('fct_points_entry') }}
    group by customer_key, patient_id
),
points as (
    select
        customer_key,
        sum(greatest(points_sum - greatest(expired_points - unassigned_debits, 0), 0))::bigint as points_balance
    from wallets
    group by customer_key
),
-- A coupon outlives its template, and with it the kind that the template told.
coupons as (
    select
        customer_key,
        count(*) as usable_coupon_count
    from {{ ref('fct_coupon') }}
    where state = '可使用' and valid_to >= {{ as_of() }} and coupon_kind is distinct from '流量大使券'
    group by customer_key
)
select *
from stored_value
full join points using (customer_key)
full join coupons using (customer_key)
