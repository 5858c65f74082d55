with
slots as (select * from {{ ref('stg_operational__checkin_slots') }}),
activities as (select * from {{ ref('stg_operational__checkin_activities') }}),
customers as (select patient_id, customer_key from {{ ref('int_patient_customer') }}),
-- With postponing a slot stays open until the day before the next one would be due (domain rules K3, K9).
slots_with_last_open_day as (
    select
        slots.*,
        activities.activity_name,
        case
            when activities.allows_postponing then slots.due_on + cast(activities.every_n_days - 1 as integer)
            else slots.due_on
        end as last_open_on
    from slots
    left join activities on slots.activity_id = activities.activity_id
),
judged_slots as (
    select
        *,
        case when status = '未打卡' and last_open_on < {{ as_of() }} then '漏打卡' else status end as judged_status
    from slots_with_last_open_day
)
select
    judged_slots.round_id,
    judged_slots.slot_no,
    customers.customer_key,
    judged_slots.patient_id,
    judged_slots.clinic_id,
    judged_slots.activity_id,
    judged_slots.activity_name,
    judged_slots.due_on,
    judged_slots.judged_status as status,
    judged_slots.due_on <= {{ as_of() }} and judged_slots.judged_status <> '豁免' as is_due,
    judged_slots.judged_status in ('已打卡', '延期打卡') as is_done,
    judged_slots.recorded_by_staff_id is not null as is_made_up,
    judged_slots.checked_in_on,
    judged_slots.checked_in_at,
    judged_slots.recorded_by_staff_id,
    judged_slots.photo_count,
    judged_slots.evaluation_status,
    judged_slots.evaluator_staff_id,
    judged_slots.evaluated_at
from judged_slots
inner join customers on judged_slots.patient_id = customers.patient_id
