"""Text into integers, once per night: records, values and evidence as temporary tables and as arrays.

Tables left in the temporary schema, all in terms of `row` (a number without meaning) and `val`:
`night_record`, `night_value`, `night_evidence`. Arrays speak of `rec`, a record's place by (first seen, key) — the
design's *fidx* — and of its place in the replay order by (kind, first seen, key), *idx*. What a value is worth is
decided in `value_states.py`.
"""

from dataclasses import dataclass

import duckdb
import numpy as np

from pipelines.identity.frames import distinct, fetch_ints, store
from pipelines.identity.model import KINDS, IdentityInputError, Ints

TIER_BITS = 40
BINDING, UNIONID, PHONE = 0, 1, 2
"""Shapes of value types; every type but `binding` and `unionid` is treated like a phone."""


@dataclass(frozen=True, slots=True)
class Records:
    """Tonight's records; position = rec.

    row, kind_rank, idx as told above; old: customer_key of the last assignment or -1; was_present: 1 when the record
    was present last night; by_idx: the rec at each idx; rec_of_row: the inverse of row, -1 for a row that is context.
    """

    row: Ints
    kind_rank: Ints
    idx: Ints
    old: Ints
    was_present: Ints
    by_idx: Ints
    rec_of_row: Ints

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
        numbered as (
            select
                (row_number() over () - 1)::integer as row,
                key,
                kind,
                first_seen_at,
                name_norm,
                birth_date,
                nullif(id_number, '') as id_number,
                coalesce(is_minor, false) as is_minor,
                is_member
            from {identities}
        ),
        kinds (kind, kind_rank) as (values {known})
        select
            numbered.* exclude (name_norm),
            nullif(numbered.name_norm, '') as name_norm,
            coalesce(kinds.kind_rank, -1)::tinyint as kind_rank,
            coalesce(last.customer_key, -1) as old,
            coalesce(last.present, false) as was_present
        from numbered
        left join kinds using (kind)
        left join {assignment} as last using (key)
    """)
    _refuse_bad_records(con)
    row, seen_us, kind_rank, old, was_present, is_member = fetch_ints(
        con,
        """
        select
            row,
            coalesce(epoch_us(first_seen_at), 9223372036854775807) as seen_us,
            kind_rank,
            old,
            was_present::tinyint as was_present,
            is_member::tinyint as is_member
        from night_record
        """,
    )
    order = _by_first_seen(con, row, seen_us)
    order = order[is_member[order] == 1]
    rec_of_row = np.full(row.size, -1)
    rec_of_row[row[order]] = np.arange(order.size)
    # Ranks are few: on bytes the stable sort is a counting sort.
    by_idx = np.argsort(kind_rank[order].astype(np.int8), kind="stable")
    idx = np.empty_like(by_idx)
    idx[by_idx] = np.arange(by_idx.size)
    return Records(row[order], kind_rank[order], idx, old[order], was_present[order], by_idx, rec_of_row)


def encode_evidence(con: duckdb.DuckDBPyConnection, evidence: str, records: Records) -> Evidence:
    """Number tonight's values and write down who carries them, without what operators detached.

    Null and empty values are ignored. Raises IdentityInputError for keys that name no record.
    """
    con.execute(f"""
        create or replace temp table night_value as
        select (row_number() over () - 1)::integer as val, *
        from (select distinct value_type, value from {evidence} where value <> '' and value_type is not null)
    """)
    con.execute(f"""
        create or replace temp table night_evidence as
        with
        coded as (
            select
                night_record.row,
                night_value.val,
                case night_value.value_type
                    when 'binding' then {BINDING}
                    when 'unionid' then {UNIONID}
                    else {PHONE}
                end::tinyint as shape,
                coalesce(
                    given.tier, case given.value_type when 'binding' then 1 when 'unionid' then 2 else 3 end
                )::bigint as tier,
                coalesce(given.position, 0)::bigint as position
            from {evidence} as given
            inner join night_value using (value_type, value)
            left join night_record using (key)
        )
        select row, val, shape, min((tier << {TIER_BITS}) + position) as strength
        from coded
        group by row, val, shape
    """)
    _refuse_unknown_keys(con, evidence)
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
    place = np.empty(int(asked.max(initial=-1)) + 1, dtype=np.int64)
    place[ordered] = np.arange(asked.size)
    return place[values]


def _by_first_seen(con: duckdb.DuckDBPyConnection, row: Ints, seen_us: Ints) -> Ints:
    """Positions ordered by (first seen, key). Keys are only compared where two records were seen in one instant."""
    order = np.argsort(seen_us)
    seen = seen_us[order]
    same = seen[1:] == seen[:-1]
    tied = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
    if tied.size:
        store(con, "night_tied", {"row": row[order[tied]], "seen": seen[tied]})
        (rows,) = fetch_ints(
            con, "select row from night_tied inner join night_record using (row) order by night_tied.seen, key"
        )
        position_of_row = np.empty_like(row)
        position_of_row[row] = np.arange(row.size)
        order[tied] = position_of_row[rows]
    return order


def _refuse_bad_records(con: duckdb.DuckDBPyConnection) -> None:
    # Different hashes prove different keys at a third of the price; only a shared hash needs the exact question.
    counts = con.execute("""
        select (select count(*) from night_record), (select count(*) from (select distinct hash(key) from night_record))
    """).fetchone()
    assert counts is not None
    bad = con.execute("select key, kind from night_record where kind_rank < 0 or key is null order by all").fetchall()
    if bad:
        raise IdentityInputError(
            "unknown_kind",
            f"{len(bad)} 条身份的 key 为空或类型未知",
            f"{len(bad)} identities without key or known kind",
            bad,
        )
    if counts[0] != counts[1]:
        repeated = con.execute("""
            select key, count(*) from night_record group by key having count(*) > 1 order by key
        """).fetchall()
        if repeated:
            raise IdentityInputError(
                "duplicate_key", f"{len(repeated)} 个 key 重复", f"{len(repeated)} keys repeat", repeated
            )


def _refuse_unknown_keys(con: duckdb.DuckDBPyConnection, evidence: str) -> None:
    if not con.execute("select 1 from night_evidence where row is null limit 1").fetchone():
        return
    unknown = con.execute(f"""
        select key, value_type, value
        from {evidence} as given
        anti join night_record using (key)
        where value <> '' and value_type is not null
        order by all
    """).fetchall()
    raise IdentityInputError(
        "unknown_key",
        f"{len(unknown)} 条证据的 key 不在身份表中",
        f"{len(unknown)} evidence rows name an identity that does not exist",
        unknown,
    )


def _detach(con: duckdb.DuckDBPyConnection) -> None:
    """An operator said that the value is not this record's: it is no evidence of anything."""
    con.execute("""
        delete from night_evidence as evidence
        using night_override as said, night_record as record, night_value as value
        where said.kind = 'detach' and said.a = record.key and said.b = value.value
            and evidence.row = record.row and evidence.val = value.val
    """)
