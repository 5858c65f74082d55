with
value_states as (select * from {{ source('identity', 'value_state') }}),
identities as (select identity_key, one_id from {{ ref('dim_identity') }}),
-- Of contested phones only: whom an operator chooses among. A hub's may be hundreds.
claimants as (
    select
        evidence.value_type,
        evidence.value,
        list(evidence.key order by evidence.key) as claimant_keys
    from {{ ref('int_identity_evidence') }} as evidence
    inner join value_states using (value_type, value)
    where value_states.state = 'contested' and starts_with(evidence.key, {{ patient_key("''") }})
    group by evidence.value_type, evidence.value
),
-- A night that was not published showed nobody its states, so only what is served counts.
standing as (
    {% if has_published('identity_value_state') -%}
    select value_type, value, state, since_night
    from {{ source('published', 'identity_value_state') }}
    where since_night < {{ as_of() }}
    {%- else -%}
    select value_type, value, state, {{ as_of() }} as since_night from value_states where false
    {%- endif %}
)
select
    value_states.value_type,
    value_states.value,
    {{ mask_phone('value_states.value') }} as value_masked,
    value_states.state,
    coalesce(standing.since_night, {{ as_of() }}) as since_night,
    value_states.persons,
    value_states.adults,
    value_states.unions,
    value_states.records,
    value_states.owner_key,
    owners.one_id as owner_one_id,
    coalesce(claimants.claimant_keys, []) as claimant_keys
from value_states
left join standing using (value_type, value, state)
left join claimants using (value_type, value)
left join identities as owners on value_states.owner_key = owners.identity_key
where value_states.state <> 'ok'
