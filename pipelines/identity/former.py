"""Who goes back when an id is torn: the ids that were merged into it, and the records that came to it from others.

Two findings for `labels.py`, which hands the ids on. A *claim*: records that left a merged id on the night it was
merged, and are in the torn id's customer still; where they go, it goes. A *guest*: a part of a torn id whose records
all came later than another part's, some of them from another id; the id belongs to those who were there before.
Both are read from the log, which knows who held what, and only for the ids that are torn tonight.
"""

import duckdb

from pipelines.identity.frames import one_row
from pipelines.identity.state import State


def find_claims(con: duckdb.DuckDBPyConnection, state: State) -> None:
    """Write `night_claim` and `night_guest` for the ids of `night_torn`; needs `night_member` and `night_overlap`.

    night_claim: old (the merged id), component, weight, first_rec; held (the torn id its records have), parent (the
                 id it was merged into)
    night_guest: old (torn or merged id), component
    """
    for step in (_FORMER, _MOVED, _CLAIMANT):
        con.execute(step.format(registry=state.before("registry"), log=state.log))
    (first_move,) = one_row(con, "select min(night) from night_torn_move")
    con.execute(_GUEST.format(registry=state.before("registry"), log=state.log), {"first_move": first_move})
    con.execute(_CLAIM)


# An id that some record has still, if only one that was missing, is handed on with its records.
_FORMER = """
    create or replace temp table night_former as
    with recursive
    merged as materialized (
        select customer_key, one_id, merged_into, founder_key, minted_night from {registry} where status = 'merged'
    ),
    below as (
        select merged.*, torn.old as parent, torn.old as held
        from night_torn as torn
        inner join {registry} as registry on torn.old = registry.customer_key
        inner join merged on registry.one_id = merged.merged_into
        union all
        select merged.*, below.customer_key, below.held
        from below
        inner join merged on below.one_id = merged.merged_into
    )
    select * from below anti join night_overlap as overlap on below.customer_key = overlap.old
"""

_MOVED = """
    create or replace temp table night_torn_record as
    select member.rec, member.old, member.component, member.weight, record.key
    from night_member as member
    semi join night_torn using (old)
    inner join night_record as record using (row);

    create or replace temp table night_torn_move as
    select night, seq, key, from_id, to_id from {log} semi join night_torn_record using (key) where event = 'MOVED'
"""

# The night of its merge is the first after the id came back for the last time: later on it may be merged again, without
# a record. One that was merged when it was minted had been given out by a run that was taken back: to its founder.
_CLAIMANT = """
    create or replace temp table night_claimant as
    with
    turn as (
        select log.from_id as one_id, log.event, row(log.night, log.seq) as place
        from {log} as log
        semi join night_former as former on log.from_id = former.one_id
        where log.event in ('ID_MERGED', 'ID_REVIVED')
    ),
    last_revival as (select one_id, max(place) as place from turn where event = 'ID_REVIVED' group by one_id),
    ended as (
        select turn.one_id, min(turn.place)[1] as night
        from turn
        left join last_revival using (one_id)
        where turn.event = 'ID_MERGED' and (last_revival.place is null or turn.place > last_revival.place)
        group by turn.one_id
    )
    select distinct former.customer_key, former.held, former.parent, record.rec, record.component, record.weight
    from night_former as former
    inner join ended using (one_id)
    inner join night_torn_record as record on former.held = record.old
    left join night_torn_move as move
        on former.one_id = move.from_id and ended.night = move.night and record.key = move.key
    where move.key is not null or (ended.night = former.minted_night and former.founder_key = record.key)
"""

# A record was linked to the id that it first left, or to the one it has; before anybody moved, when is not asked.
_GUEST = """
    create or replace temp table night_guest as
    with
    holder as (
        select old, rec, component from night_torn_record
        union all
        select customer_key, rec, component from night_claimant
    ),
    first_left as (select key, arg_min(from_id, (night, seq)) as one_id from night_torn_move group by key),
    moved as (select key, to_id, min(night) as night from night_torn_move group by all),
    linked as (
        select key, night
        from {log}
        semi join night_torn_record using (key)
        where event = 'LINKED' and night >= $first_move
    ),
    arrival as (
        select
            holder.old,
            holder.component,
            coalesce(first_left.one_id <> registry.one_id, false) as came_from_another,
            case
                when came_from_another then moved.night else coalesce(linked.night, '-infinity'::date)
            end as night
        from holder
        inner join night_torn_record as record using (rec)
        inner join {registry} as registry on holder.old = registry.customer_key
        left join first_left on record.key = first_left.key
        left join moved on record.key = moved.key and registry.one_id = moved.to_id
        left join linked on record.key = linked.key
    ),
    part as (
        select old, component, bool_or(came_from_another) as came_from_another, min(night) as since
        from arrival
        group by old, component
    )
    select old, component from part qualify came_from_another and since > min(since) over (partition by old)
"""

_CLAIM = """
    create or replace temp table night_claim as
    select customer_key as old, component, sum(weight)::bigint as weight, min(rec) as first_rec, held, parent
    from night_claimant
    group by all
"""
