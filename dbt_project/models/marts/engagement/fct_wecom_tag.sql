with
tags as (select * from {{ ref('stg_wecom__contact_tags') }}),
customers as (select corp_id, external_user_id, customer_key from {{ ref('int_wecom_customer') }})
select
    tags.corp_id,
    tags.external_user_id,
    tags.wecom_user_id,
    tags.tag_id,
    customers.customer_key,
    tags.group_name,
    tags.tag_name,
    tags.tag_type,
    tags.tagged_at,
    {{ local_date('tags.tagged_at') }} as tagged_on
from tags
inner join customers
    on tags.corp_id = customers.corp_id and tags.external_user_id = customers.external_user_id
