-- Two names are two persons. Only an operator's merge may say otherwise: its files speak with one voice.
with
merged_by_hand as (
    select distinct to_one_id as one_id
    from {{ ref('identity_event') }}
    where override_id is not null
)
select assigned.one_id
from {{ ref('int_identity') }} as identities
inner join {{ ref('dim_identity') }} as assigned on identities.key = assigned.identity_key
anti join merged_by_hand on assigned.one_id = merged_by_hand.one_id
where identities.kind = 'patient' and identities.name_norm is not null
group by assigned.one_id
having count(distinct identities.name_norm) > 1
