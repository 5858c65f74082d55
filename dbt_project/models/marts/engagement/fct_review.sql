with
reviews as (select * from {{ ref('stg_operational__reviews') }}),
doctors as (select staff_id, staff_name from {{ ref('dim_staff') }}),
customers as (select patient_id, customer_key from {{ ref('int_patient_customer') }})
select
    reviews.review_id,
    customers.customer_key,
    reviews.patient_id,
    reviews.clinic_id,
    reviews.visit_id,
    reviews.doctor_id,
    doctors.staff_name as doctor_name,
    reviews.score10,
    cast(reviews.score10 / 2 as decimal(2, 1)) as stars,
    case
        when reviews.score10 >= 8 then '好评'
        when reviews.score10 >= 5 then '中评'
        else '差评'
    end as rating_level,
    reviews.review_tags,
    reviews.comment,
    reviews.is_on_wall,
    reviews.reply_count,
    reviews.submitted_at,
    {{ local_date('reviews.submitted_at') }} as submitted_on
from reviews
inner join customers on reviews.patient_id = customers.patient_id
left join doctors on reviews.doctor_id = doctors.staff_id
