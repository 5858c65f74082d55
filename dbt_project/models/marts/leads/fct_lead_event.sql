{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook=[
        "{{ forget_rows_of_moved_identities(ref('int_lead_customer'), 'lead_id', 'lead_id') }}",
        "{{ forget_redelivered_rows(ref('int_lead_event'), 'lead_event_id') }}",
    ],
) }}
with
events as (select * from {{ ref('int_lead_event') }}),
leads as (select lead_id, customer_key from {{ ref('int_lead_customer') }}),
{% if is_incremental() %}
held as (select lead_id, customer_key, _batch_id from {{ this }}),
new_batches as (
    select distinct _batch_id from events
    except
    select distinct _batch_id from held
),
moved_leads as (
    select * from leads anti join (select distinct lead_id, customer_key from held) using (lead_id, customer_key)
),
rows_to_add as (
    select * from events semi join new_batches using (_batch_id)
    union all
    select * from events semi join moved_leads using (lead_id) anti join new_batches using (_batch_id)
)
{% else %}
rows_to_add as (select * from events)
{% endif %}
select
    rows_to_add.lead_event_id,
    leads.customer_key,
    rows_to_add.lead_id,
    rows_to_add.event_source,
    rows_to_add.event,
    rows_to_add.staff_id,
    rows_to_add.from_staff_id,
    rows_to_add.channel,
    rows_to_add.result,
    rows_to_add.content,
    rows_to_add.occurred_at,
    {{ local_date('rows_to_add.occurred_at') }} as occurred_on,
    rows_to_add._batch_id
from rows_to_add
inner join leads on rows_to_add.lead_id = leads.lead_id
