{%- set limits = var('identity_limits') -%}
-- An identity carries one unionid at most, so only who holds that many WeChat identities can come near that limit:
-- few, which keeps the join by long keys small.
with
identities as (select * from {{ ref('dim_identity') }} where is_present),
customers as (select customer_key, one_id, identity_count from {{ ref('dim_customer') }}),
holders_of_many as (
    select customer_key
    from identities
    where kind in ('official_account_fan', 'wecom_contact', 'mini_program_user')
    group by customer_key
    having count(*) >= 0.8 * {{ limits.customer_unions }}
),
wechat_identities as (
    select
        identity_key as key,
        customer_key
    from identities
    semi join holders_of_many using (customer_key)
),
unionids as (
    select
        wechat_identities.customer_key,
        count(distinct evidence.value) as unionids
    from {{ ref('int_identity_evidence') }} as evidence
    inner join wechat_identities using (key)
    where evidence.value_type = 'unionid'
    group by wechat_identities.customer_key
),
counted as (
    select
        customers.customer_key,
        customers.one_id,
        customers.identity_count as records,
        coalesce(unionids.unionids, 0)::integer as unionids
    from customers
    left join unionids using (customer_key)
),
measured as (
    select
        *,
        {{ limits.customer_records }}::integer as records_limit,
        {{ limits.customer_unions }}::integer as unionids_limit,
        list_filter(
            [
                case when records >= 0.8 * records_limit then 'customer_records' end,
                case when unionids >= 0.8 * unionids_limit then 'customer_unions' end
            ],
            lambda name: name is not null
        ) as near_limits
    from counted
),
-- A night that was not published showed nobody its customers, so only what is served counts.
standing as (
    {% if has_published('identity_near_limit') -%}
    -- A version of an earlier release has no nights.
    select one_id, since_night
    from (
        select null::varchar as one_id, null::date as since_night where false
        union all by name
        select * from {{ source('published', 'identity_near_limit') }}
    )
    where since_night < {{ as_of() }}
    {%- else -%}
    select one_id, {{ as_of() }} as since_night from measured where false
    {%- endif %}
)
-- By the id, which a rebuild keeps: a merge into a customer who was not near a limit is new tonight, whoever they were.
select
    measured.*,
    coalesce(standing.since_night, {{ as_of() }}) as since_night
from measured
left join standing using (one_id)
where len(measured.near_limits) > 0
