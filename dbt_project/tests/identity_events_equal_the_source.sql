-- Night by night the published log has as many events as identity's own, erased persons' left out.
with
published as (
    select
        night,
        count(*) as events
    from {{ ref('identity_event') }}
    group by night
),
kept as (
    select
        night,
        count(*) as events
    from {{ living_identity_events() }}
    group by night
)
select
    night,
    published.events as published_events,
    kept.events as kept_events
from published
full join kept using (night)
where published.events is distinct from kept.events
