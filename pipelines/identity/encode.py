"""Text into integers, once per night: records, values and evidence as temporary tables and as arrays.

Tables left in the temporary schema, all in terms of `row` (a number without meaning) and `val`:
`night_record`, `night_value`, `night_evidence`. Texts are told apart by DuckDB's 64-bit hash, at a third of the price;
two texts that share one are noticed. Arrays speak of `rec`, a record's place by (first seen, key) — the
design's *fidx* — and of its place in the replay order by (kind, first seen, key), *idx*. What a value is worth is
decided in `value_states.py`.
"""

from dataclasses import dataclass

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipelines.identity.frames import distinct, fetch, fetch_ints, has_repeats, is_there, number_rows, one_row, store
from pipelines.identity.model import KINDS, OWN_DIGEST, IdentityInputError, Ints

TIER_BITS = 40
BINDING, UNIONID, PHONE = 0, 1, 2
"""Shapes of value types; every type but `binding` and `unionid` is treated like a phone."""


@dataclass(frozen=True, slots=True)
class Records:
    """Tonight's records; position = rec.

    row, kind_rank, idx as told above; old: customer_key of the last assignment or -1; was_present: 1 when the record
    was present last night; by_idx: the rec at each idx; rec_of_row: the inverse of row, -1 for a row that is context;
    key_hash: DuckDB's hash of the key.
    """

    row: Ints
    kind_rank: Ints
    idx: Ints
    old: Ints
    was_present: Ints
    by_idx: Ints
    rec_of_row: Ints
    key_hash: NDArray[np.uint64]

    @property
    def count(self) -> int:
        return int(self.row.size)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Who carries what, one place per (record, value): strength = tier * 2**40 + position, smaller is stronger."""

    rec: Ints
    val: Ints
    shape: Ints
    strength: Ints


def encode_records(con: duckdb.DuckDBPyConnection, identities: str, *, assignment: str) -> Records:
    """Number tonight's records and find the customer each had in `assignment`.

    Rows of `identities` that are no members are only numbered: their evidence counts where values are judged.
    Raises IdentityInputError for keys that are null or repeat and for kinds that are unknown.
    """
    known = ", ".join(f"('{kind}', {rank})" for kind, (rank, _) in KINDS.items())
    con.execute(f"""
        create or replace temp table night_record as
        with
        kinds (kind, kind_rank) as (values {known})
        select
            null::integer as row,
            given.key,
            given.kind,
            given.first_seen_at,
            given.birth_date,
            given.is_member,
            nullif(given.name_norm, '') as name_norm,
            nullif(given.id_number, '') as id_number,
            coalesce(given.is_minor, false) as is_minor,
            coalesce(kinds.kind_rank, -1)::tinyint as kind_rank,
            coalesce(last.customer_key, -1) as old,
            coalesce(last.present, false) as was_present,
            hash(given.key) as key_hash,
            {OWN_DIGEST} as digest
        from {identities} as given
        left join kinds using (kind)
        left join {assignment} as last using (key)
    """)
    number_rows(con, "night_record", "row")
    _refuse_unknown_kinds(con)
    found = fetch(
        con,
        """
        select
            row,
            coalesce(epoch_us(first_seen_at), 9223372036854775807) as seen_us,
            kind_rank,
            old,
            was_present::tinyint as was_present,
            is_member,
            key_hash
        from night_record
        """,
    )
    if has_repeats(found["key_hash"]):
        _refuse_repeated_keys(con)
    order = _by_first_seen(con, found["row"], found["seen_us"])
    if not found["is_member"].all():
        order = order[found["is_member"][order]]
    row = found["row"][order]
    rec_of_row = np.full(found["row"].size, -1, dtype=np.int32)
    rec_of_row[row] = np.arange(order.size)
    # Ranks are few: on bytes the stable sort is a counting sort.
    kind_rank = found["kind_rank"][order]
    by_idx = np.argsort(kind_rank, kind="stable").astype(np.int32)
    idx = np.empty_like(by_idx)
    idx[by_idx] = np.arange(by_idx.size)
    return Records(
        row=row,
        kind_rank=kind_rank,
        idx=idx,
        old=found["old"][order],
        was_present=found["was_present"][order],
        by_idx=by_idx,
        rec_of_row=rec_of_row,
        key_hash=found["key_hash"][order],
    )


def encode_evidence(con: duckdb.DuckDBPyConnection, evidence: str, hashes: str, records: Records) -> Evidence:
    """Number tonight's values and write down who carries them, without what operators detached.

    Null and empty values are ignored. `hashes` is `evidence` as `digests.digest_inputs` writes it down. Raises
    IdentityInputError for keys that name no record.
    """
    con.execute(f"""
        create or replace temp table night_value as
        select null::integer as val, *, hash(value_type, value) as value_hash
        from (select distinct value_type, value from {evidence} where value <> '' and value_type is not null)
    """)
    number_rows(con, "night_value", "val")
    con.execute(f"""
        create or replace temp table night_evidence as
        select night_record.row, night_value.val, hashes.shape, hashes.strength
        from {hashes} as hashes
        inner join night_value using (value_hash)
        inner join night_record using (key_hash)
    """)
    told, found = one_row(con, f"select (select count(*) from {hashes}), (select count(*) from night_evidence)")
    if found != told:
        _refuse_unknown_keys(con, evidence)
        raise AssertionError(f"two texts share a hash: {told} became {found}")
    _keep_strongest(con)
    _detach(con)
    row, val, shape, strength = fetch_ints(con, "select row, val, shape, strength from night_evidence")
    rec = records.rec_of_row[row]
    if records.count == records.rec_of_row.size:
        return Evidence(rec, val, shape, strength)
    of_member = rec >= 0
    return Evidence(rec[of_member], val[of_member], shape[of_member], strength[of_member])


def text_ranks(con: duckdb.DuckDBPyConnection, values: Ints) -> Ints:
    """The place of each value among the given ones by (value_type, value); repeats share their place."""
    asked = distinct(values)
    store(con, "night_asked_value", {"val": asked})
    (ordered,) = fetch_ints(
        con, "select val from night_asked_value inner join night_value using (val) order by value_type, value"
    )
    place = np.empty(int(asked.max(initial=-1)) + 1, dtype=np.int32)
    place[ordered] = np.arange(asked.size)
    return place[values]


def _by_first_seen(con: duckdb.DuckDBPyConnection, row: Ints, seen_us: Ints) -> Ints:
    """Positions ordered by (first seen, key). Keys are only compared where two records were seen in one instant."""
    order = pl.Series(seen_us).arg_sort().to_numpy().astype(np.int32)
    seen = seen_us[order]
    same = seen[1:] == seen[:-1]
    tied = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
    if tied.size:
        position = order[tied]
        store(con, "night_tied", {"position": position, "row": row[position], "seen": seen[tied]})
        (order[tied],) = fetch_ints(
            con, "select position from night_tied inner join night_record using (row) order by night_tied.seen, key"
        )
    return order


def _refuse_unknown_kinds(con: duckdb.DuckDBPyConnection) -> None:
    bad = con.execute("select key, kind from night_record where kind_rank < 0 or key is null order by all").fetchall()
    if bad:
        raise IdentityInputError(
            "unknown_kind",
            f"{len(bad)} 条身份的 key 为空或类型未知",
            f"{len(bad)} identities without key or known kind",
            bad,
        )


def _refuse_repeated_keys(con: duckdb.DuckDBPyConnection) -> None:
    repeated = con.execute("""
        select key, count(*) from night_record group by key having count(*) > 1 order by key
    """).fetchall()
    assert repeated, "two keys share a hash"
    raise IdentityInputError("duplicate_key", f"{len(repeated)} 个 key 重复", f"{len(repeated)} keys repeat", repeated)


def _refuse_unknown_keys(con: duckdb.DuckDBPyConnection, evidence: str) -> None:
    unknown = con.execute(f"""
        select key, value_type, value
        from {evidence} as given
        anti join night_record using (key)
        where value <> '' and value_type is not null
        order by all
    """).fetchall()
    if unknown:
        raise IdentityInputError(
            "unknown_key",
            f"{len(unknown)} 条证据的 key 不在身份表中",
            f"{len(unknown)} evidence rows name an identity that does not exist",
            unknown,
        )


def _keep_strongest(con: duckdb.DuckDBPyConnection) -> None:
    """Keep one row per record and value."""
    row, val = fetch_ints(con, "select row, val from night_evidence")
    if not has_repeats(row.astype(np.int64) << 32 | val):
        return
    con.execute("""
        create or replace temp table night_evidence as
        select row, val, any_value(shape) as shape, min(strength) as strength from night_evidence group by row, val
    """)


def _detach(con: duckdb.DuckDBPyConnection) -> None:
    """An operator said that the value is not this record's: it is no evidence of anything."""
    if not is_there(con, "select 1 from night_override where kind = 'detach' limit 1"):
        return
    con.execute("""
        delete from night_evidence as evidence
        using night_override as said, night_record as record, night_value as value
        where said.kind = 'detach' and said.a = record.key and said.b = value.value
            and evidence.row = record.row and evidence.val = value.val
    """)
