with
leads as (select * from {{ ref('stg_leads__leads') }}),
owners as (select staff_id, staff_name from {{ ref('dim_staff') }}),
customers as (select lead_id, customer_key from {{ ref('int_lead_customer') }})
select
    leads.lead_id,
    customers.customer_key,
    leads.clinic_id,
    leads.name,
    leads.phone,
    leads.gender,
    leads.channel_level_1,
    leads.channel_level_2,
    leads.channel_level_3,
    leads.intention_item,
    leads.status,
    leads.owner_staff_id,
    owners.staff_name as owner_staff_name,
    leads.converted_patient_id,
    leads.converted_at is not null or leads.status = '已转化' as is_converted,
    leads.converted_at,
    leads.created_at,
    {{ local_date('leads.created_at') }} as created_on
from leads
inner join customers on leads.lead_id = customers.lead_id
left join owners on leads.owner_staff_id = owners.staff_id
