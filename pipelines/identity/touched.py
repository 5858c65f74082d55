"""Whose customers can be others tonight: found from what changed, without looking at the rest.

A night is a function of its input and of the state before it, and the input falls into parts that never meet: the
components that evidence makes before any limit is applied. A part in which nothing changed keeps its customers, so a
night resolves the others only (docs/decisions/0009). Three sets grow out of the changes:

    records   those of every component that a change can reach, tonight's and last night's: they are resolved anew
    values    those that the records carry or that changed: they are judged anew
    context   further records that carry one of the values: what the values are worth depends on them, nothing else does

Here the sets are found; what is done with them is `resolve.py`'s business, their tables are told in `state.py`.
"""

from dataclasses import dataclass

import duckdb
import pyarrow as pa

from pipelines.identity.digests import changes_are_few
from pipelines.identity.frames import store
from pipelines.identity.overrides import Override, Overrides
from pipelines.identity.state import State, last_basis

PART_AT_MOST = 0.1
"""Where more of the records than this changed, resolving everybody is faster."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Relations that the steps read: a record is resolved where `is_member`, else it is context.

    hashes: `evidence` as `digests.digest_inputs` writes it down.
    """

    identities: str
    evidence: str
    hashes: str
    is_part: bool


def everybody(identities: str, evidence: str) -> Inputs:
    """The inputs of a night that resolves everybody."""
    return Inputs(f"(select *, true as is_member from {identities})", evidence, "night_hash", is_part=False)


def find_touched(
    con: duckdb.DuckDBPyConnection, state: State, given: Overrides, identities: str, evidence: str, part_at_most: float
) -> Inputs | None:
    """Write the state's tables `touched_*`; returns the inputs of a night in part, or None for a night of everybody.

    Needs the tables of `digests.digest_inputs`, and the state before the night. Leaves `night_touched_value`.
    """
    if last_basis(con, state) != state.basis or not changes_are_few(con, state, part_at_most):
        return None
    return reach(con, state, given, identities, evidence, last=state)


def reach(
    con: duckdb.DuckDBPyConnection, state: State, given: Overrides, identities: str, evidence: str, *, last: State
) -> Inputs:
    """Write the tables `touched_*` of `state`: whom `night_changed` and other operator rows than `last`'s can reach.

    `last` is the state before the night; it may lie elsewhere, and is only read. Leaves `night_touched_value`.
    """
    before = [Override(*row) for row in con.execute(f"from {last.now('override_seen')}").fetchall()]
    said = Overrides(tuple(before))
    _store_turned(con, set(said.rows) ^ set(given.rows))
    con.execute(_CHANGED_VALUE.format(evidence=evidence, carried=last.now("carried"), blocked=last.now("blocked_seen")))
    _store_merged(con, [*said.merged(), *given.merged()])
    con.execute(_TOUCHED_RECORD.format(assignment=last.now("assignment"), seen=last.now("seen")))
    con.execute(_CONTEXT)
    for table, query in _TOUCHED_TABLES.items():
        con.execute(f"delete from {state.now(table)}")
        con.execute(
            f"insert into {state.now(table)} {query.format(seen=last.now('seen'), registry=last.now('registry'))}"
        )
    con.execute(_EXTRACT.format(identities=identities, evidence=evidence))
    return Inputs("night_identity_of_part", "night_evidence_of_part", "night_hash_of_part", is_part=True)


def forget_context(con: duckdb.DuckDBPyConnection) -> None:
    """Leave the states of the values that are judged tonight; of the others not every carrier is there."""
    con.execute("""
        delete from night_state
        where val in (select val from night_value anti join night_touched_value using (value_hash))
    """)


def note_new_customers(con: duckdb.DuckDBPyConnection, state: State) -> None:
    """Count the ids that the night minted among those it touched."""
    con.execute(f"""
        insert into {state.now("touched_customer")} select customer_key from night_fresh where not is_revived
    """)


def _store_turned(con: duckdb.DuckDBPyConnection, turned: set[Override]) -> None:
    """Operator rows that were given or revoked since: the values and keys they name."""
    values = {row.b if row.kind == "detach" else row.a for row in turned if row.kind not in ("merge", "split")}
    keys = {key for row in turned if row.kind in ("merge", "split") for key in (row.a, row.b)}
    detached = {row.a for row in turned if row.kind == "detach"}
    store(con, "night_turned_value", {"value": pa.array(sorted(values), pa.string())})
    store(con, "night_turned_key", {"key": pa.array(sorted(keys), pa.string())})
    store(con, "night_detached_key", {"key": pa.array(sorted(detached), pa.string())})


def _store_merged(con: duckdb.DuckDBPyConnection, groups: list[list[str]]) -> None:
    """Records that operators joined are reached together."""
    places = [place for place, keys in enumerate(groups) for _ in keys]
    texts = [key for keys in groups for key in keys]
    store(con, "night_merged_key", {"place": pa.array(places, pa.int32()), "key": pa.array(texts, pa.string())})


_CHANGED_VALUE = """
    create or replace temp table night_changed_value as
    select value_hash from night_hash semi join night_changed using (key_hash)
    union
    select value_hash from {carried} semi join night_changed using (key_hash)
    union
    (from night_blocked_hash except from {blocked})
    union
    (from {blocked} except from night_blocked_hash)
    union
    select hash(value_type, value) from {evidence} where value in (select value from night_turned_value)
    union
    -- A record's unionids count towards what its phones are worth.
    select value_hash from night_hash where key_hash in (select hash(key) from night_detached_key)
    union
    select value_hash from {carried} where key_hash in (select hash(key) from night_detached_key)
"""

# A record that returns may take its former id from those who hold it now.
_TOUCHED_RECORD = """
    create or replace temp table night_returned_customer as
    select distinct customer_key
    from {assignment}
    where not present and hash(key) in (select key_hash from night_changed where is_there and not was_there);

    create or replace temp table night_seed as
    select key_hash from night_changed
    union
    select key_hash from night_hash semi join night_changed_value using (value_hash)
    union
    select hash(key) from night_turned_key
    union
    select key_hash from {seen} semi join night_returned_customer using (customer_key);

    insert into night_seed
    select hash(key)
    from night_merged_key
    where place in (select place from night_merged_key where hash(key) in (from night_seed));

    create or replace temp table night_touched_record as
    with components as (select distinct component from {seen} semi join night_seed using (key_hash))
    select key_hash from {seen} semi join components using (component)
    union
    select key_hash from night_seed;

    create or replace temp table night_member_hash as
    select key_hash from night_touched_record semi join night_own using (key_hash)
"""

_CONTEXT = """
    create or replace temp table night_touched_value as
    select value_hash from night_hash semi join night_member_hash using (key_hash)
    union
    select value_hash from night_changed_value;

    create or replace temp table night_context_hash as
    select key_hash, true as is_member from night_member_hash
    union all
    select distinct key_hash, false
    from night_hash
    semi join night_touched_value using (value_hash)
    anti join night_member_hash using (key_hash)
"""

# An id that nobody holds can come back with its founder; one that somebody untouched holds cannot. One that was merged
# can come back with those who held it, and they have the id it was merged into.
_TOUCHED_TABLES = {
    "touched_record": "select key_hash from night_touched_record",
    "touched_value": "select value_hash from night_touched_value",
    "touched_customer": """
        with recursive
        merged as materialized (select customer_key, one_id, merged_into from {registry} where status = 'merged'),
        touched as (
            select customer_key from {seen} semi join night_touched_record using (key_hash)
            union
            select customer_key from night_returned_customer
            union
            select customer_key
            from {registry}
            where status <> 'active' and hash(founder_key) in (select key_hash from night_touched_record)
        ),
        below as (
            select customer_key, one_id from {registry} semi join touched using (customer_key)
            union
            select merged.customer_key, merged.one_id
            from below
            inner join merged on below.one_id = merged.merged_into
        )
        select customer_key from below
    """,
}

_EXTRACT = """
    create or replace temp table night_identity_of_part as
    select identities.*, context.is_member
    from {identities} as identities
    inner join night_context_hash as context on hash(identities.key) = context.key_hash;

    create or replace temp table night_evidence_of_part as
    select evidence.*
    from {evidence} as evidence
    semi join night_context_hash as context on hash(evidence.key) = context.key_hash;

    create or replace temp table night_hash_of_part as from night_hash semi join night_context_hash using (key_hash)
"""
