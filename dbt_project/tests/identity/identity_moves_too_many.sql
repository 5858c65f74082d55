{{ config(fail_calc='coalesce(max(moved), 0)') }}
{%- set limits, base_identity = var('breaker'), breaker_base('dim_identity') -%}
{%- set base_event = breaker_base('identity_event') %}
-- Moved is who belongs to another customer than in what was published last of an earlier day: runs of one day add up,
-- and a night that was stopped here and followed by the next is still asked about. Erased persons' records are not
-- there any more and count on neither side.
with
present as (select identity_key, one_id from {{ ref('dim_identity') }} where is_present),
logged as (
    select distinct key as identity_key
    from {{ source('identity', 'event') }}
    where
        event = 'MOVED'
        {% if base_event -%}
        and night > least(
            {{ as_of() }} - 1,
            (select coalesce(max(night), '-infinity') from {{ base_event }})
        )
        {%- else -%}
        and night = {{ as_of() }}
        {%- endif %}
),
moved as (
    select identity_key
    from logged
    inner join present using (identity_key)
    {% if base_identity -%}
    inner join {{ base_identity }} as base using (identity_key)
    where base.one_id <> present.one_id
    {%- endif %}
),
counted as (
    select
        (select count(*) from moved) as moved,
        (select count(*) from present) as present
)
select * from counted where moved > greatest({{ limits.few_moves }}, {{ limits.moved_share }} * present)
