"""Tonight's input as hashes, and which records differ from last night's.

Every row is hashed, and the hashes are summed up in buckets that a key falls into. Where a bucket's sum is last night's
nothing in it changed, so rows are compared one by one in the others only. Whom a change can reach is `touched.py`'s
business.
"""

import duckdb
import numpy as np

from pipelines.identity.encode import BINDING, PHONE, TIER_BITS, UNIONID
from pipelines.identity.frames import fetch, one_row, store
from pipelines.identity.model import OWN_DIGEST
from pipelines.identity.state import State

_BUCKETS = 1 << 20


def digest_inputs(con: duckdb.DuckDBPyConnection, identities: str, evidence: str, blocked: str) -> str:
    """Write the input down as hashes; returns a text that is the same for the same rows in any order.

    night_hash: key_hash, value_hash, shape, strength, one row per evidence row, see `encode.Evidence`
    night_own: key_hash, digest of what the record itself says, one row per identity
    night_bucket: bucket, digest, where it holds a row of one of these
    night_blocked_hash: value_hash
    """
    con.execute(_HASH.format(evidence=evidence))
    con.execute(f"""
        create or replace temp table night_own as select hash(key) as key_hash, {OWN_DIGEST} as digest from {identities}
    """)
    con.execute(f"""
        create or replace temp table night_blocked_hash as
        select distinct hash(value_type, value) as value_hash from {blocked}
    """)
    _sum_up(con)
    row = one_row(
        con,
        """
        select
            (select count(*) from night_own),
            (select count(*) from night_hash),
            (select coalesce(sum(hash(bucket, digest)), 0) from night_bucket),
            (select count(*) || ':' || coalesce(sum(value_hash), 0) from night_blocked_hash)
    """,
    )
    return "|".join(map(str, row))


def take_input_of(con: duckdb.DuckDBPyConnection, last: State, evidence: str) -> None:
    """Write the tables of `digest_inputs` for the input that `last` was made of, and that nothing in it changed."""
    con.execute(_HASH.format(evidence=evidence))
    con.execute(f"""
        create or replace temp table night_own as select key_hash, digest from {last.now("seen")};
        create or replace temp table night_bucket as from {last.now("bucket")};
        create or replace temp table night_blocked_hash as from {last.now("blocked_seen")};
        create or replace temp table night_changed (key_hash ubigint, is_there boolean, was_there boolean)
    """)


def changes_are_few(con: duckdb.DuckDBPyConnection, state: State, part_at_most: float) -> bool:
    """Write `night_changed` (key_hash, is_there, was_there); whether a night in part is possible and worth it.

    A record from which an operator detached a value may be among those that changed although it did not.
    """
    seen, carried = state.now("seen"), state.now("carried")
    con.execute(_DIRTY.format(bucket=state.now("bucket")))
    con.execute(_CHANGED.format(seen=seen, carried=carried))
    row = one_row(
        con,
        f"""
        select
            (select count(*) from night_changed),
            (select count(*) from {seen}),
            (select count(*) from night_own),
            (select count(*) from night_changed where not was_there),
            (select count(*) from night_changed where not is_there),
            exists (select 1 from night_dirty_hash anti join night_dirty_own using (key_hash))
    """,
    )
    changed, last, known, new, gone, is_unknown = row
    # Evidence of nobody, or keys that repeat: the whole night says which.
    is_refused = is_unknown or known - new != last - gone
    return not is_refused and bool(changed < last * part_at_most)


def _sum_up(con: duckdb.DuckDBPyConnection) -> None:
    """Write `night_bucket`; numpy adds to a million places in half the time of DuckDB's groups."""
    sums = np.zeros(_BUCKETS, dtype=np.uint64)
    for table, columns in (("night_own", "digest"), ("night_hash", "value_hash, strength")):
        found = fetch(con, f"select {_BUCKET} as bucket, hash(key_hash, {columns}) as digest from {table}")
        np.add.at(sums, found["bucket"], found["digest"])
    bucket = np.flatnonzero(sums)
    store(con, "night_bucket", {"bucket": bucket.astype(np.int32), "digest": sums[bucket]})


_BUCKET = f"(key_hash & {_BUCKETS - 1})::integer"

_HASH = f"""
    create or replace temp table night_hash as
    select
        hash(key) as key_hash,
        hash(value_type, value) as value_hash,
        case value_type when 'binding' then {BINDING} when 'unionid' then {UNIONID} else {PHONE} end::tinyint as shape,
        (coalesce(tier, case value_type when 'binding' then 1 when 'unionid' then 2 else 3 end)::bigint << {TIER_BITS})
        + coalesce(position, 0) as strength
    from {{evidence}}
    where value <> '' and value_type is not null
"""

# As the night keeps evidence: the strongest of what repeats.
_DIRTY = f"""
    create or replace temp table night_dirty as
    select bucket
    from night_bucket as now
    full join {{bucket}} as last using (bucket)
    where now.digest is distinct from last.digest;

    create or replace temp table night_dirty_own as
    select key_hash, digest from night_own where {_BUCKET} in (from night_dirty);

    create or replace temp table night_dirty_hash as
    select key_hash, value_hash, min(strength) as strength
    from night_hash
    where {_BUCKET} in (from night_dirty)
    group by key_hash, value_hash
"""

_CHANGED = f"""
    create or replace temp table night_changed as
    with
    was_own as (select key_hash, digest from {{seen}} where {_BUCKET} in (from night_dirty)),
    carries as (
        select key_hash, sum(hash(value_hash, strength)) as digest from night_dirty_hash group by key_hash
    ),
    carried as (
        select key_hash, sum(hash(value_hash, strength)) as digest
        from {{carried}}
        where {_BUCKET} in (from night_dirty)
        group by key_hash
    )
    select key_hash, now.digest is not null as is_there, last.digest is not null as was_there
    from night_dirty_own as now
    full join was_own as last using (key_hash)
    left join carries using (key_hash)
    left join carried using (key_hash)
    where now.digest is distinct from last.digest or carries.digest is distinct from carried.digest
"""
