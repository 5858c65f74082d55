with
card_assets as (select * from {{ ref('stg_saas__card_assets') }}),
customers as (select patient_id, customer_key from {{ ref('int_patient_customer') }})
select
    card_assets.card_asset_id,
    customers.customer_key,
    card_assets.patient_id,
    card_assets.card_name,
    card_assets.display_name,
    card_assets.card_type,
    card_assets.publish_status,
    card_assets.publish_channel,
    card_assets.deductible_items,
    card_assets.total_times,
    card_assets.used_times,
    greatest(card_assets.total_times - card_assets.used_times, 0) as remaining_times,
    card_assets.used_times > 0 as is_used,
    card_assets.total_times > 0 and card_assets.used_times >= card_assets.total_times as is_used_up,
    card_assets.valid_to,
    coalesce(card_assets.valid_to < {{ as_of() }}, false) as is_expired,
    card_assets.acquired_at,
    {{ local_date('card_assets.acquired_at') }} as acquired_on
from card_assets
inner join customers on card_assets.patient_id = customers.patient_id
