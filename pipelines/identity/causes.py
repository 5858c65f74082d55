"""Why records moved: the link that is new or withdrawn tonight, or the operator row behind it.

A merge is explained by the first new link, in replay order, that ties the old id's records to others; a split by the
first withdrawn link that held the two parts together, best those who left and those who keep the id. Only customers
that changed are looked at. A withdrawn link is told apart from a standing one by hashes, so its value can be named
while anybody still carries it.

An operator row is named where it did it: a merge or a split of two records that met or parted, given or revoked tonight
or in effect because one of the two returned; a block, an allowance or an owner of the value, given or revoked tonight;
a detach given or revoked tonight, where its record gained or lost the link, or where nobody did and the value's state
changed. What a source took back the same night is not a detach's doing.
"""

from collections import defaultdict
from collections.abc import Iterable

import duckdb
import numpy as np
import pyarrow as pa

from pipelines.identity.encode import TIER_BITS, Records
from pipelines.identity.frames import fetch_ints, is_there, store
from pipelines.identity.history import value_hashes
from pipelines.identity.keys import masked_sql
from pipelines.identity.model import Ints
from pipelines.identity.overrides import Override, Overrides
from pipelines.identity.state import State
from pipelines.identity.value_states import Links


def find_causes(con: duckdb.DuckDBPyConnection, state: State, links: Links, component: Ints, records: Records) -> None:
    """Write `night_cause`, one row per (old id, component it lost records to); needs the view `night_assignment`.

    night_cause: old, component, is_known, value_type, value_masked, via_key, override_id
    """
    con.execute(_TURNED)
    if not is_there(con, "select 1 from night_turned limit 1"):
        con.execute(_NO_CAUSE)
        return
    con.execute(_INVOLVED.format(assignment=state.before("assignment")))
    con.execute(_WAS_LINK.format(carried=state.before("carried")))
    _store_links_of_tonight(con, links, component, records)
    con.execute(_CHANGED_OVERRIDE.format(seen=state.before("override_seen")))
    con.execute(_DETACHED.format(carried=state.before("carried"), value_state=state.before("value_state")))
    _store_ties(con, state)
    for step in (_JOINED, _TORN, _DECIDED):
        con.execute(step.format(tier_bits=TIER_BITS))
    con.execute(_CAUSE.format(masked=masked_sql("value.value_type", "value.value")))


def _store_links_of_tonight(con: duckdb.DuckDBPyConnection, links: Links, component: Ints, records: Records) -> None:
    """Write `night_now_link`: the accepted links of the components involved."""
    (involved,) = fetch_ints(con, "select distinct component from night_involved where component >= 0")
    marks = np.zeros(records.count, dtype=np.bool_)
    marks[involved] = True
    chosen = marks[component[links.rec]]
    rec, val = links.rec[chosen], links.val[chosen]
    store(
        con,
        "night_now_link",
        {
            "rec": rec,
            "idx": records.idx[rec],
            "old": records.old[rec],
            "component": component[rec],
            "val": val,
            "strength": links.strength[chosen],
            "key_hash": pa.array(records.key_hash[rec]),
            "value_hash": pa.array(value_hashes(con)[val]),
        },
    )


def _store_ties(con: duckdb.DuckDBPyConnection, state: State) -> None:
    """Write `night_tie` (id, a, b, joins): two records of tonight that an operator row brings together or keeps apart.

    A revoked row does the contrary of what it said.
    """
    seen, now = (
        [Override(*row) for row in con.execute(f"from {table} where kind in ('merge', 'split')").fetchall()]
        for table in (state.before("override_seen"), "night_override")
    )
    keys = {key for row in (*seen, *now) for key in (row.a, row.b)}
    found = con.execute("select key from night_record where key in (select unnest($keys))", {"keys": list(keys)})
    present = {key for (key,) in found.fetchall()}
    gone = set(seen) - set(now)
    ties = [(*tie, True) for tie in _ties(now, "merge", present)]
    ties += [(*tie, False) for tie in _ties(now, "split", present)]
    ties += [(*tie, True) for tie in _ties(gone, "split", present)]
    # What a revoked merge held together, it may have held through merges that stand.
    gone_ids = {row.id for row in gone}
    ties += [(*tie, False) for tie in _ties(seen, "merge", present) if tie[0] in gone_ids]
    columns = [pa.array(column, pa.string()) for column in zip(*(tie[:3] for tie in ties), strict=True)]
    texts = columns or [pa.array([], pa.string())] * 3
    joins = pa.array([tie[3] for tie in ties], pa.bool_())
    store(con, "night_tie", dict(zip(("id", "a", "b", "joins"), (*texts, joins), strict=True)))


def _ties(rows: Iterable[Override], kind: str, present: set[str]) -> list[tuple[str, str, str]]:
    """(id, key, key) of the rows of a kind, between keys that are present.

    Records merged with one that is gone are one person still: each is tied to the first of them, by either's row.
    """
    said = Overrides(tuple(sorted(row for row in rows if row.kind == kind)))
    ties = [(row.id, row.a, row.b) for row in said.rows if {row.a, row.b} <= present]
    if kind != "merge":
        return ties
    absent = Overrides(tuple(row for row in said.rows if not {row.a, row.b} & present)).merged()
    place = {key: keys[0] for keys in absent for key in keys}
    neighbours = defaultdict(list)
    for row in said.rows:
        for there, away in ((row.a, row.b), (row.b, row.a)):
            if there in present and away not in present:
                neighbours[place.get(away, away)].append((there, row.id))
    for (first, by), *others in neighbours.values():
        ties += [(id_, first, key) for key, own in others if key != first for id_ in (own, by)]
    return ties


_TURNED = """
    create or replace temp table night_turned as
    select distinct old, component from night_assignment where old >= 0 and old <> customer_key
"""

_NO_CAUSE = """
    create or replace temp table night_cause (
        old integer, component integer, is_known boolean, value_type varchar, value_masked varchar, via_key varchar,
        override_id varchar
    )
"""

# The old ids that met, every component their records are in tonight, and their records that are gone (component -1).
_INVOLVED = """
    create or replace temp table night_involved_old as
    select old from night_turned
    union
    select old from night_member semi join night_turned using (component) where old >= 0;

    create or replace temp table night_involved as
    with
    components as (
        select component from night_turned
        union
        select component from night_member semi join night_involved_old using (old)
    )
    select member.rec, member.old, member.component, record.key, hash(record.key) as key_hash
    from night_member as member
    semi join components using (component)
    inner join night_record as record using (row)
    union all
    select -1, last.customer_key, -1, last.key, hash(last.key)
    from {assignment} as last
    semi join night_involved_old on last.customer_key = night_involved_old.old
    anti join night_record on last.key = night_record.key
"""

_WAS_LINK = """
    create or replace temp table night_was_link as
    select involved.key, involved.old, involved.component, link.key_hash, link.value_hash, link.strength
    from {carried} as link
    inner join night_involved as involved using (key_hash)
    where link.accepted
"""

_CHANGED_OVERRIDE = """
    create or replace temp table night_changed_override as
    (select id, kind, a, b from night_override except select id, kind, a, b from {seen})
    union all
    (select id, kind, a, b from {seen} except select id, kind, a, b from night_override)
"""

# Who carries a value tonight and did not last night, or the other way round; only where a detach may have done it.
_DETACHED = """
    create or replace temp table night_gained_or_lost as
    with
    value as (
        select val, value_hash
        from night_value
        where value in (select b from night_changed_override where kind = 'detach')
    ),
    now as (
        select record.key_hash, value.value_hash
        from night_evidence as evidence
        inner join value using (val)
        inner join night_record as record using (row)
    ),
    last as (
        select carried.key_hash, carried.value_hash
        from {carried} as carried
        inner join value using (value_hash)
    )
    (from now except from last)
    union all
    (from last except from now);

    create or replace temp table night_detached as
    select distinct
        said.id,
        value.val,
        change.key_hash,
        row(last.state, last.owner_key) is distinct from row(now.state, owner.key) as is_worth_changed
    from night_changed_override as said
    inner join night_value as value on said.b = value.value
    inner join night_gained_or_lost as change
        on hash(said.a) = change.key_hash and value.value_hash = change.value_hash
    left join {value_state} as last on value.value_type = last.value_type and value.value = last.value
    left join night_state as now on value.val = now.val
    left join night_record as owner on now.owner_row = owner.row
    where said.kind = 'detach'
"""

# Of the pairs that the first new link's value ties, best one that came about by the change of a single record.
_JOINED = """
    create or replace temp table night_joined as
    with
    new_link as (select * from night_now_link anti join night_was_link using (key_hash, value_hash)),
    meeting as (
        select
            turned.old,
            turned.component,
            new_link.val,
            case when new_link.old = turned.old then other.rec else new_link.rec end as via,
            [change.key_hash for change in [one_change, other_change] if change.key_hash is not null] as changed,
            row(
                new_link.strength >> {tier_bits}, new_link.idx, new_link.strength, value.value_type, value.value,
                other.idx
            ) as replayed
        from night_turned as turned
        inner join new_link on turned.component = new_link.component
        inner join night_now_link as other
            on new_link.val = other.val
            and new_link.rec <> other.rec
            and (new_link.old = turned.old) <> (other.old = turned.old)
        inner join night_value as value on new_link.val = value.val
        left join night_gained_or_lost as one_change
            on new_link.key_hash = one_change.key_hash and new_link.value_hash = one_change.value_hash
        left join night_gained_or_lost as other_change
            on other.key_hash = other_change.key_hash and other.value_hash = other_change.value_hash
    ),
    placed as (
        select
            *,
            first_value(val) over (partition by old, component order by replayed) as first_val
        from meeting
    ),
    first as (
        select distinct on (old, component) *
        from placed
        where val = first_val
        order by old, component, len(changed), replayed
    )
    select first.old, first.component, first.val, involved.key as via_key, first.changed
    from first
    inner join night_involved as involved on first.via = involved.rec
"""

# Best between those who left and those who keep the id. A record that lost the value left by that alone; only where
# nobody who left did, it matters that another lost it.
_TORN = """
    create or replace temp table night_torn as
    with
    gone as (select * from night_was_link anti join night_now_link using (key_hash, value_hash)),
    parting as (
        select
            turned.old,
            turned.component,
            gone.value_hash,
            gone.component = turned.component as is_own,
            case when is_own then other.key else gone.key end as via_key,
            case when is_own then one_change.key_hash else other_change.key_hash end as own_change,
            case when is_own then other_change.key_hash else one_change.key_hash end as their_change,
            row(
                heir.component is distinct from case when is_own then other.component else gone.component end,
                gone.strength, gone.key, other.key, gone.value_hash
            ) as told
        from night_turned as turned
        inner join gone using (old)
        inner join night_was_link as other
            on gone.old = other.old
            and gone.value_hash = other.value_hash
            and gone.key_hash <> other.key_hash
            and (gone.component = turned.component) <> (other.component = turned.component)
        left join night_heir as heir on turned.old = heir.old
        left join night_gained_or_lost as one_change
            on gone.key_hash = one_change.key_hash and gone.value_hash = one_change.value_hash
        left join night_gained_or_lost as other_change
            on other.key_hash = other_change.key_hash and other.value_hash = other_change.value_hash
    ),
    placed as (
        select
            *,
            first_value(value_hash) over (partition by old, component order by told) as first_value_hash
        from parting
    ),
    first as (
        select distinct on (old, component) *
        from placed
        where value_hash = first_value_hash
        order by
            old, component, told[1], (own_change is not null)::integer + (their_change is not null)::integer, told
    )
    select
        first.old,
        first.component,
        value.val,
        first.via_key,
        [change for change in [coalesce(own_change, their_change)] if change is not null] as changed
    from first
    left join night_value as value using (value_hash)
"""

# Operator rows about two records that met or parted, one of the two among the records that moved.
_DECIDED = """
    create or replace temp table night_decided as
    with
    tie as (
        select id, a as one_key, b as other_key, joins from night_tie
        union all
        select id, b, a, joins from night_tie
    )
    select distinct on (turned.old, turned.component)
        turned.old,
        turned.component,
        tie.id as override_id,
        other.key as via_key
    from night_turned as turned
    inner join night_involved as one on turned.old = one.old and turned.component = one.component
    inner join tie on one.key = tie.one_key
    inner join night_involved as other on tie.other_key = other.key
    where
        case
            when tie.joins then other.component = turned.component and other.old <> turned.old
            else other.component <> turned.component and other.old = turned.old
        end
    order by
        turned.old, turned.component, tie.id not in (select id from night_changed_override), tie.id, other.key
"""

_CAUSE = """
    create or replace temp table night_cause as
    with
    swallowed as (
        select heir.old, heir.component
        from night_heir as heir
        semi join night_merged on heir.old = night_merged.old
    ),
    -- A merged id is explained by what joined; records torn off an id that lives on, by what let go.
    link_cause as (
        select
            turned.old,
            turned.component,
            case when joined_first then coalesce(joined.val, torn.val) else coalesce(torn.val, joined.val) end as val,
            case
                when joined_first or torn.val is null then coalesce(joined.via_key, torn.via_key)
                else torn.via_key
            end as via_key,
            case
                when joined_first or torn.val is null then coalesce(joined.changed, torn.changed)
                else torn.changed
            end as changed
        from (
            select turned.*, swallowed.old is not null as joined_first
            from night_turned as turned
            left join swallowed on turned.old = swallowed.old and turned.component = swallowed.component
        ) as turned
        left join night_joined as joined on turned.old = joined.old and turned.component = joined.component
        left join night_torn as torn on turned.old = torn.old and turned.component = torn.component
    )
    select
        link_cause.old,
        link_cause.component,
        decided.override_id is not null or value.val is not null as is_known,
        case when decided.override_id is null then value.value_type end as value_type,
        case when decided.override_id is null then {masked} end as value_masked,
        coalesce(decided.via_key, case when value.val is not null then link_cause.via_key end) as via_key,
        coalesce(
            decided.override_id,
            (
                select min(said.id)
                from night_changed_override as said
                where said.kind in ('block', 'allow', 'owner') and said.a = value.value
            ),
            (
                select min(said.id)
                from night_detached as said
                where
                    said.val = value.val
                    and (
                        list_contains(link_cause.changed, said.key_hash)
                        or (said.is_worth_changed and len(link_cause.changed) = 0)
                    )
            )
        ) as override_id
    from link_cause
    left join night_decided as decided
        on link_cause.old = decided.old and link_cause.component = decided.component
    left join night_value as value on link_cause.val = value.val
"""
