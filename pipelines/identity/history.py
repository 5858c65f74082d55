"""What changed tonight and the tables that say so: assignment with standing reasons, registry, events, conflicts.

Replaying LINKED and MOVED alone rebuilds `assignment`. Why something changed is found in `causes.py`; which ids go on
is decided in `labels.py`.
"""

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa

from pipelines.identity.encode import Evidence, Records
from pipelines.identity.frames import distinct, fetch, fetch_texts, gather, is_there, one_row, registered, store
from pipelines.identity.keys import masked_sql
from pipelines.identity.limits import Conflict
from pipelines.identity.model import MERGE, Ints
from pipelines.identity.reasons import MERGED, Reasons
from pipelines.identity.state import State, settled_events
from pipelines.identity.value_states import Links


def tonight(
    con: duckdb.DuckDBPyConnection,
    records: Records,
    component: Ints,
    customer_key: Ints,
    reasons: Reasons,
    *,
    registry: str,
) -> pa.Table:
    """The rows of the view `night_assignment` that the functions below need, one per record in order of rec.

    `registry` is where `labels.tonights_registry` says. Texts are gathered by position instead of joined: a third of
    the time at a million customers.
    """
    key = _texts_at(con, "select row as place, key as text from night_record", records.row)
    one_id = _texts_at(con, f"select customer_key as place, one_id as text from {registry}", customer_key)
    types, masks = _reason_texts(con, reasons)
    columns = {
        "rec": np.arange(records.count, dtype=np.int32),
        "key": key,
        "one_id": one_id,
        "customer_key": customer_key.astype(np.int32),
        "reason_value_type": types,
        "reason_value_masked": masks,
        "reason_via_key": gather(key, reasons.via),
        "component": component.astype(np.int32),
        "old": records.old.astype(np.int32),
        "was_present": records.was_present.astype(np.int8),
        # The number of a record's LINKED event among tonight's.
        "linked": np.cumsum(records.old < 0, dtype=np.int32),
    }
    # The newest form keeps texts as references; the default would copy them.
    return pl.DataFrame(columns).to_arrow(compat_level=pl.CompatLevel.newest())


def write_assignment(con: duckdb.DuckDBPyConnection, state: State, records: Records) -> None:
    """Write tonight's records, then those that are missing tonight under the id they had."""
    assignment, last = state.now("assignment"), state.before("assignment")
    con.execute(f"""
        insert into {assignment}
        select key, one_id, customer_key, true, reason_value_type, reason_value_masked, reason_via_key
        from night_assignment
    """)
    con.execute(
        f"create or replace temp table night_absent as select key, one_id, customer_key, present from {last} limit 0"
    )
    (known,) = one_row(con, f"select count(*) from {last}")
    if known == int((records.old >= 0).sum()):
        return
    con.execute(f"""
        insert into night_absent
        select key, one_id, customer_key, present from {last} anti join night_record using (key) order by key
    """)
    con.execute(f"insert into {assignment} select key, one_id, customer_key, false, null, null, null from night_absent")


def write_events(con: duckdb.DuckDBPyConnection, state: State, *, registry: str) -> None:
    """Log the night: LINKED in order of rec, then everything else by kind; needs `night_cause`."""
    numbered = {"night": state.night, "settled": settled_events(con, state)}
    con.execute(
        f"""
        insert into {state.now("event")}
        with
        -- Only for records that a merge tied, which are few: the row that names both, else the first that names it.
        merged as (
            select
                tonight.linked,
                arg_min(said.id, (tonight.reason_via_key not in (said.a, said.b), said.id)) as override_id
            from night_assignment as tonight
            inner join night_override as said on said.kind = 'merge' and tonight.key in (said.a, said.b)
            where tonight.old < 0 and tonight.reason_value_type = '{MERGE}'
            group by tonight.linked
        ),
        told as (
            select *, null as override_id
            from night_assignment
            where old < 0 and reason_value_type is distinct from '{MERGE}'
            union all
            select tonight.*, merged.override_id
            from night_assignment as tonight
            inner join merged using (linked)
            where tonight.old < 0 and tonight.reason_value_type = '{MERGE}'
        )
        select
            $night, $settled + linked, 'LINKED', key, null, one_id, reason_value_type, reason_value_masked,
            reason_via_key, override_id
        from told
        """,
        numbered,
    )
    last = state.before("registry")
    if is_there(con, f"from {last} limit 1"):
        others = _OTHER_EVENTS.format(
            event=state.now("event"), registry=registry, last_registry=last, last_assignment=state.before("assignment")
        )
        con.execute(others, numbered)


def write_states(con: duckdb.DuckDBPyConnection, state: State) -> None:
    """Write the values that are not ok."""
    con.execute(f"""
        insert into {state.now("value_state")}
        select value_type, value, state, persons, adults, unions, state.records, record.key
        from night_state as state
        inner join night_value using (val)
        left join night_record as record on state.owner_row = record.row
        order by value_type, value
    """)


def write_conflicts(con: duckdb.DuckDBPyConnection, state: State, conflicts: list[Conflict], records: Records) -> None:
    """Write the links refused tonight; `night` is the night since which each has stood without a break."""
    held_by = [-1 if conflict.held_by is None else int(records.row[conflict.held_by]) for conflict in conflicts]
    store(
        con,
        "night_conflict",
        {
            "row": pa.array([int(records.row[conflict.rec]) for conflict in conflicts], pa.int32()),
            "held_by": pa.array(held_by, pa.int32()),
            "val": pa.array([conflict.val for conflict in conflicts], pa.int32()),
            "tier": pa.array([conflict.tier for conflict in conflicts], pa.int32()),
            "reason": pa.array([conflict.reason for conflict in conflicts], pa.string()),
        },
    )
    con.execute(
        f"""
        insert into {state.now("conflict")}
        with
        refused as (
            select
                value.value_type,
                {masked_sql("value.value_type", "value.value")} as value_masked,
                refused.tier,
                one.key as left_key,
                other.key as right_key,
                refused.reason,
                value.value
            from night_conflict as refused
            inner join night_value as value using (val)
            inner join night_record as one on refused.row = one.row
            left join night_record as other on refused.held_by = other.row
        ),
        standing as (
            select left_key, right_key, value_type, value_masked, reason, min(night) as night
            from {state.before("conflict")}
            group by all
        )
        select
            coalesce(standing.night, $night), refused.value_type, refused.value_masked, refused.tier, refused.left_key,
            refused.right_key, refused.reason
        from refused
        left join standing
            on refused.left_key = standing.left_key
            and refused.right_key is not distinct from standing.right_key
            and refused.value_type = standing.value_type
            and refused.value_masked = standing.value_masked
            and refused.reason = standing.reason
        order by refused.left_key, refused.value_type, refused.value, refused.right_key
        """,
        {"night": state.night},
    )


def write_seen(
    con: duckdb.DuckDBPyConnection,
    state: State,
    evidence: Evidence,
    links: Links,
    unlimited: Ints,
    customer_key: Ints,
    records: Records,
) -> None:
    """Keep what the next night compares with: digests, who carries what, blocked values, operator rows in force."""
    key_hash, value_hash = records.key_hash, value_hashes(con)
    accepted = np.zeros(evidence.rec.size, dtype=np.bool_)
    accepted[links.place] = True
    carried = {
        "key_hash": key_hash[evidence.rec],
        "value_hash": value_hash[evidence.val],
        "strength": evidence.strength,
        "accepted": accepted,
    }
    seen = {
        "key_hash": key_hash,
        "digest": _at_places(con, "select row as place, digest as number from night_record")[records.row],
        "component": key_hash[unlimited],
        "customer_key": customer_key.astype(np.int32),
    }
    for table, columns in (("carried", carried), ("seen", seen)):
        with registered(con, "night_seen_columns", columns):
            con.execute(f"insert into {state.now(table)} from night_seen_columns")
    con.execute(f"insert into {state.now('bucket')} from night_bucket")
    con.execute(f"insert into {state.now('blocked_seen')} from night_blocked_hash")
    con.execute(f"insert into {state.now('override_seen')} select * from night_override")


def value_hashes(con: duckdb.DuckDBPyConnection) -> np.typing.NDArray[np.uint64]:
    """DuckDB's hash of every (value type, value), by val."""
    return _at_places(con, "select val as place, value_hash as number from night_value")


def _at_places(con: duckdb.DuckDBPyConnection, query: str) -> np.typing.NDArray[np.uint64]:
    """The `number` at each `place`; the query gives every place from 0 once, in any order."""
    found = fetch(con, query)
    numbers = np.empty(found["place"].size, dtype=np.uint64)
    numbers[found["place"]] = found["number"]
    return numbers


def _texts_at(con: duckdb.DuckDBPyConnection, query: str, places: Ints) -> pl.Series:
    """The `text` of each of `places`; the query gives every `place` once, in any order."""
    texts = fetch_texts(con, query)
    place = texts.get_column("place").to_numpy()
    position = np.empty(int(place.max(initial=-1)) + 1, dtype=np.int64)
    position[place] = np.arange(place.size)
    return gather(texts.get_column("text"), position[places])


def _reason_texts(con: duckdb.DuckDBPyConnection, reasons: Reasons) -> tuple[pl.Series, pl.Series]:
    """Value type and masked value of every record's reason; null for a record alone."""
    stated = reasons.val >= 0
    used = distinct(reasons.val[stated])
    store(con, "night_reason_value", {"val": used})
    texts = fetch_texts(
        con,
        f"""
        select val, value_type, {masked_sql("value_type", "value")} as value_masked
        from night_reason_value
        inner join night_value using (val)
        """,
    )
    place = np.empty(int(used.max(initial=-1)) + 1, dtype=np.int64)
    place[texts.get_column("val").to_numpy()] = np.arange(used.size)
    index = np.full(reasons.val.size, -1)
    index[stated] = place[reasons.val[stated]]
    masks = gather(texts.get_column("value_masked"), index)
    # One more type after the values' own: an operator's merge has no value.
    types = pl.concat([texts.get_column("value_type"), pl.Series([MERGE])], rechunk=True)
    index[reasons.val == MERGED] = used.size
    return gather(types, index), masks


# `detail` orders events of one kind: records by key, ids by id.
_OTHER_EVENTS = """
    insert into {event}
    with
    moved as (
        select
            1 as place, 'MOVED' as event, tonight.key as detail, tonight.key, last.one_id as from_id,
            tonight.one_id as to_id,
            -- A value that everybody lost tonight is known from the reason the record had.
            case when cause.is_known then cause.value_type else reason.reason_value_type end as value_type,
            case when cause.is_known then cause.value_masked else reason.reason_value_masked end as value_masked,
            case when cause.is_known then cause.via_key else reason.reason_via_key end as via_key,
            cause.override_id
        from night_assignment as tonight
        inner join {last_registry} as last on tonight.old = last.customer_key
        left join night_cause as cause on tonight.old = cause.old and tonight.component = cause.component
        left join {last_assignment} as reason on tonight.key = reason.key
        where tonight.old >= 0 and tonight.old <> tonight.customer_key
    ),
    returned as (
        select 2, 'RETURNED', key, key, one_id, one_id, null, null, null, null
        from night_assignment
        where old = customer_key and was_present = 0
    ),
    vanished as (
        select 3, 'VANISHED', key, key, one_id, one_id, null, null, null, null from night_absent where present
    ),
    changed as (
        select
            now.customer_key, now.one_id, now.status, now.merged_into, last.merged_into as led_to,
            row(last.status, last.merged_into) is distinct from row(now.status, now.merged_into) as is_changed
        from {registry} as now
        inner join {last_registry} as last using (customer_key)
    ),
    -- An id that was merged and whose records stay leads elsewhere because the id that it led to went.
    merged as (
        select
            4, 'ID_MERGED', changed.one_id, null, changed.one_id, changed.merged_into,
            cause.value_type, cause.value_masked, cause.via_key, cause.override_id
        from changed
        left join night_heir as heir on changed.customer_key = heir.old
        left join {last_registry} as target on changed.led_to = target.one_id
        left join night_heir as gone on target.customer_key = gone.old
        left join night_turned as went on heir.held = went.old and heir.component = went.component
        left join night_cause as cause
            on heir.held = cause.old
            and cause.component = case when went.old is null then gone.component else heir.component end
        where changed.is_changed and changed.status = 'merged'
    ),
    revived as (
        select
            5, 'ID_REVIVED', changed.one_id, null, changed.one_id, null,
            cause.value_type, cause.value_masked, cause.via_key, cause.override_id
        from changed
        left join (
            select component, customer_key from night_fresh
            union all
            select component, old from night_heir where old <> held
        ) as back on changed.customer_key = back.customer_key
        left join (select distinct on (component) * from night_cause order by component, old) as cause
            on back.component = cause.component
        where changed.is_changed and changed.status = 'active'
    ),
    dormant as (
        select 6, 'ID_DORMANT', one_id, null, one_id, null, null, null, null, null
        from changed
        where is_changed and status = 'dormant'
    ),
    told as (
        select * from moved
        union all select * from returned
        union all select * from vanished
        union all select * from merged
        union all select * from revived
        union all select * from dormant
    )
    select
        $night,
        $settled + (select count(*) from night_assignment where old < 0) + row_number() over (order by place, detail),
        event, key, from_id, to_id, value_type, value_masked, via_key, override_id
    from told
    order by place, detail
"""
