with
followers as (select * from {{ ref('stg_wecom__followers') }}),
customers as (select corp_id, external_user_id, customer_key from {{ ref('int_wecom_customer') }}),
events as (
    select
        corp_id,
        external_user_id,
        wecom_user_id,
        '添加' as event,
        add_way,
        state,
        null as removed_by,
        followed_at as occurred_at
    from followers
    union all
    select corp_id, external_user_id, wecom_user_id, '删除', add_way, state, removed_by, removed_at
    from followers
    where removed_at is not null
)
select
    events.corp_id,
    events.external_user_id,
    events.wecom_user_id,
    customers.customer_key,
    events.event,
    events.add_way,
    events.state as channel_code,
    events.removed_by,
    events.occurred_at,
    {{ local_date('events.occurred_at') }} as occurred_on
from events
inner join customers
    on events.corp_id = customers.corp_id and events.external_user_id = customers.external_user_id
