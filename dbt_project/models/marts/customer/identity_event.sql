{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook="{{ forget_newest_nights('night') }}"
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
from {{ living_identity_events() }}
{% if is_incremental() %}
-- Identity commits before the marts are built: every night that is not here yet is due, not tonight's alone.
where night::date > coalesce((select max(night) from {{ this }}), date '-infinity')
{% endif %}
