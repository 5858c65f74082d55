with
rounds as (select * from {{ ref('stg_operational__checkin_rounds') }}),
activities as (select * from {{ ref('stg_operational__checkin_activities') }}),
customers as (select patient_id, customer_key from {{ ref('int_patient_customer') }}),
counts_per_round as (
    select
        round_id,
        count(*) filter (where is_due) as due_count,
        count(*) filter (where is_done) as done_count,
        count(*) filter (where status = '漏打卡') as missed_count
    from {{ ref('fct_checkin_slot') }}
    group by round_id
),
counted_rounds as (
    select
        rounds.*,
        coalesce(counts_per_round.due_count, 0) as due_count,
        coalesce(counts_per_round.done_count, 0) as done_count,
        coalesce(counts_per_round.missed_count, 0) as missed_count
    from rounds
    left join counts_per_round on rounds.round_id = counts_per_round.round_id
)
select
    counted_rounds.round_id,
    customers.customer_key,
    counted_rounds.patient_id,
    counted_rounds.clinic_id,
    counted_rounds.activity_id,
    activities.activity_name,
    counted_rounds.round_no,
    counted_rounds.origin,
    counted_rounds.inviter_staff_id,
    counted_rounds.follow_staff_id,
    counted_rounds.status,
    counted_rounds.close_reason,
    counted_rounds.anchor_date,
    counted_rounds.due_count,
    counted_rounds.done_count,
    counted_rounds.missed_count,
    cast(
        counted_rounds.done_count / nullif(counted_rounds.done_count + counted_rounds.missed_count, 0)
        as decimal(5, 4)
    ) as checkin_rate,
    counted_rounds.closed_at,
    counted_rounds.started_at,
    {{ local_date('counted_rounds.started_at') }} as started_on
from counted_rounds
inner join customers on counted_rounds.patient_id = customers.patient_id
left join activities on counted_rounds.activity_id = activities.activity_id
