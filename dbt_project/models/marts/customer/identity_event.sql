{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook="{{ forget_nights_from_as_of('night') }}"
) }}
select
    night::date as night,
    seq::integer as seq,
    event,
    key as identity_key,
    from_id as from_one_id,
    to_id as to_one_id,
    cause_value_type,
    cause_value_masked,
    via_key as via_identity_key,
    override_id::varchar as override_id
from {{ source('identity', 'event') }}
{% if is_incremental() %}
where night::date >= {{ as_of() }}
{% endif %}
