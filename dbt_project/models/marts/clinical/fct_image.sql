with
images as (select * from {{ ref('stg_saas__images') }}),
customers as (select patient_id, customer_key from {{ ref('int_patient_customer') }})
select
    images.image_id,
    customers.customer_key,
    images.patient_id,
    images.clinic_id,
    images.visit_id,
    images.modality,
    images.taken_at,
    {{ local_date('images.taken_at') }} as taken_on
from images
inner join customers on images.patient_id = customers.patient_id
