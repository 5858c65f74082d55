with
visit_totals as (
    select
        customer_key,
        count(*) as visit_count,
        min(visited_at) as first_visit_at,
        max(visited_at) as last_visit_at,
        max_by(doctor_id, {{ recency('visited_at', 'visit_id') }}) as last_visit_doctor_id
    from {{ ref('fct_visit') }}
    where status <> '已取消'
    group by customer_key
),
appointment_totals as (
    select
        customer_key,
        count(*) filter (where status <> '已取消') as appointment_count,
        count(*) filter (where status = '爽约') as no_show_count,
        -- Still to come when the business day is over.
        min(scheduled_at) filter (
            where status in ('已预约', '已确认') and scheduled_on > {{ as_of() }}
        ) as next_appointment_at
    from {{ ref('fct_appointment') }}
    group by customer_key
)
select *
from visit_totals
full join appointment_totals using (customer_key)
