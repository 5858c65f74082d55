"""Ids that an earlier run of the night gave out and this one did not: they lead to who their founder is now.

A night that runs again starts from the state before it, so an id it minted is minted again or belongs to nobody. But
the day's runs are published: an id that somebody wrote down must lead to its customer for ever, and a customer_key must
never mean somebody else, since memberships are sets of keys. Which ids these are is noted with their keys when the
night is taken back (`state.py`); one that is minted again keeps its key (`labels.py`).
"""

import duckdb

from pipelines.identity.state import State, Way


def register_handed_out(con: duckdb.DuckDBPyConnection, state: State, *, way: Way) -> None:
    """Register them as merged into the id that the founder's record has, and log it; without a record they wait for it.

    Needs the night's assignment, registry and events.
    """
    registry, assignment, event = state.now("registry"), state.now("assignment"), state.now("event")
    con.execute(_LOST.format(handed_out=state.now("handed_out"), registry=registry, assignment=assignment))
    con.execute(_REGISTER.format(registry=registry), {"night": state.night})
    con.execute(f"delete from {state.now('handed_out')} where one_id in (select one_id from {registry})")
    con.execute(_LOG.format(event=event), {"night": state.night})
    if way is Way.PART:
        con.execute(f"insert into {state.now('touched_customer')} select customer_key from night_lost_id")


_LOST = """
    create or replace temp table night_lost_id as
    with lost as (from {handed_out} anti join {registry} as registry using (one_id))
    select
        lost.*,
        founder.one_id as target,
        founder.reason_value_type,
        founder.reason_value_masked,
        founder.reason_via_key
    from lost
    inner join {assignment} as founder on lost.founder_key = founder.key
"""

_REGISTER = """
    insert into {registry}
    select one_id, customer_key, founder_key, generation, $night, 'merged', target, $night from night_lost_id
"""

_LOG = """
    insert into {event}
    select
        $night,
        (select coalesce(max(seq), 0) from {event} where night = $night) + row_number() over (order by customer_key),
        'ID_MERGED', null, one_id, target, reason_value_type, reason_value_masked, reason_via_key, null
    from night_lost_id
"""
