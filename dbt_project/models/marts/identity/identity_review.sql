-- What tonight merged or moved between customers of whom one holds stored value, is expected or in treatment: worth a
-- person's look.
with
changes as (
    select
        from_one_id,
        to_one_id,
        bool_or(event = 'ID_MERGED') as is_merged,
        (count(*) filter (where event = 'MOVED'))::integer as moved_records
    from {{ ref('identity_event') }}
    where night = {{ as_of() }} and event in ('MOVED', 'ID_MERGED')
    group by from_one_id, to_one_id
),
-- Each step of an item has a row, and each says how far the item is.
treatments as (
    select
        customer_key,
        count(distinct coalesce(bill_item_id, execution_id))::integer as open_treatments
    from {{ ref('fct_execution') }}
    where stage in ('待执行', '执行中')
    group by customer_key
),
customers as (
    select
        one_id,
        stored_value_total_fen,
        next_appointment_at,
        coalesce(open_treatments, 0) as open_treatments
    from {{ ref('dim_customer') }}
    left join treatments using (customer_key)
)
select
    changes.from_one_id,
    changes.to_one_id,
    changes.is_merged,
    changes.moved_records,
    coalesce(losers.stored_value_total_fen, 0) as from_stored_value_fen,
    losers.next_appointment_at as from_next_appointment_at,
    coalesce(losers.open_treatments, 0) as from_open_treatments,
    coalesce(winners.stored_value_total_fen, 0) as to_stored_value_fen,
    winners.next_appointment_at as to_next_appointment_at,
    coalesce(winners.open_treatments, 0) as to_open_treatments
from changes
left join customers as losers on changes.from_one_id = losers.one_id
left join customers as winners on changes.to_one_id = winners.one_id
where
    from_stored_value_fen > 0
    or to_stored_value_fen > 0
    or from_next_appointment_at is not null
    or to_next_appointment_at is not null
    or from_open_treatments > 0
    or to_open_treatments > 0
