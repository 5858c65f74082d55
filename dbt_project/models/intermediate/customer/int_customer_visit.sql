with
customers as (select * from {{ ref('int_patient_customer') }}),
visit_totals as (
    select
        customers.customer_key,
        count(*) as visit_count,
        min(visits.visited_at) as first_visit_at,
        max(visits.visited_at) as last_visit_at,
        max_by(visits.doctor_id, row(visits.visited_at, visits.visit_id)) as last_visit_doctor_id
    from {{ ref('stg_saas__visits') }} as visits
    inner join customers using (patient_id)
    where visits.status <> '已取消'
    group by customers.customer_key
),
appointment_totals as (
    select
        customers.customer_key,
        count(*) filter (where appointments.status <> '已取消') as appointment_count,
        count(*) filter (where appointments.status = '爽约') as no_show_count,
        -- Still to come when the business day is over.
        min(appointments.scheduled_at) filter (
            where
            appointments.status in ('已预约', '已确认')
            and {{ local_date('appointments.scheduled_at') }} > {{ as_of() }}
        ) as next_appointment_at
    from {{ ref('stg_saas__appointments') }} as appointments
    inner join customers using (patient_id)
    group by customers.customer_key
)
select *
from visit_totals
full join appointment_totals using (customer_key)
