{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook=[
        "{{ forget_rows_of_moved_identities(ref('int_patient_customer'), 'patient_id', 'patient_id') }}",
        "{{ forget_redelivered_rows(ref('stg_operational__points_entries'), 'entry_id') }}",
    ],
) }}
with
entries as (select * from {{ ref('stg_operational__points_entries') }}),
patients as (select patient_id, customer_key from {{ ref('int_patient_customer') }}),
{% if is_incremental() %}
held as (select patient_id, customer_key, _batch_id from {{ this }}),
new_batches as (
    select distinct _batch_id from entries
    except
    select distinct _batch_id from held
),
moved_patients as (
    select *
    from patients
    anti join (select distinct patient_id, customer_key from held) using (patient_id, customer_key)
),
rows_to_add as (
    select * from entries semi join new_batches using (_batch_id)
    union all
    select * from entries semi join moved_patients using (patient_id) anti join new_batches using (_batch_id)
)
{% else %}
rows_to_add as (select * from entries)
{% endif %}
select
    rows_to_add.entry_id,
    patients.customer_key,
    rows_to_add.patient_id,
    rows_to_add.entry_kind,
    rows_to_add.points,
    rows_to_add.reason,
    rows_to_add.source_id,
    rows_to_add.expires_on,
    rows_to_add.booked_at,
    {{ local_date('rows_to_add.booked_at') }} as booked_on,
    rows_to_add._batch_id
from rows_to_add
inner join patients on rows_to_add.patient_id = patients.patient_id
