{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook=[
        "{{ forget_rows_of_moved_identities(
            ref('int_mini_program_customer'), identity_id('app_id', 'openid'), 'identity_id'
        ) }}",
        "{{ forget_redelivered_rows(ref('stg_mini_program__events'), 'event_id') }}",
    ],
) }}
with
events as (select * from {{ ref('stg_mini_program__events') }}),
users as (
    select app_id, openid, {{ identity_id('app_id', 'openid') }} as identity_id, customer_key
    from {{ ref('int_mini_program_customer') }}
),
{% if is_incremental() %}
held as (select identity_id, customer_key, _batch_id from {{ this }}),
new_batches as (
    select distinct _batch_id from events
    except
    select distinct _batch_id from held
),
moved_users as (
    select *
    from users
    anti join (select distinct identity_id, customer_key from held) using (identity_id, customer_key)
),
rows_to_add as (
    select * from events semi join new_batches using (_batch_id)
    union all
    select * from events semi join moved_users using (app_id, openid) anti join new_batches using (_batch_id)
)
{% else %}
rows_to_add as (select * from events)
{% endif %}
select
    rows_to_add.event_id,
    users.customer_key,
    users.identity_id,
    rows_to_add.app_id,
    rows_to_add.event,
    rows_to_add.page,
    rows_to_add.object_name,
    rows_to_add.campaign_name,
    rows_to_add.channel,
    rows_to_add.amount as amount_fen,
    rows_to_add.duration_seconds,
    rows_to_add.occurred_at,
    {{ local_date('rows_to_add.occurred_at') }} as occurred_on,
    rows_to_add._batch_id
from rows_to_add
inner join users on rows_to_add.app_id = users.app_id and rows_to_add.openid = users.openid
