"""What a value proves by itself, before any graph: blocked, hub, family, contested, or ok.

States are a pure function of tonight's evidence, the blocked list, operator rows and thresholds. Which links survive
inside a customer is decided in `limits.py`.
"""

from dataclasses import dataclass

import duckdb
import numpy as np

from pipelines.identity.encode import PHONE, UNIONID, Evidence, Records
from pipelines.identity.frames import fetch_ints
from pipelines.identity.model import PATIENT_RANK, IdentityConfig, Ints, Truths

# Numbers nobody proves anything with. Valid mainland mobiles leave at the first test.
_UNUSABLE_PHONE = """
    value_type = 'phone'
    and not (starts_with(value, '+861') and length(value) = 14 and value not in ('+8613800138000', '+8611111111111'))
    and regexp_full_match(
        value,
        '([+]86|86|0086)?0?(10|2[0-9]|[3-9][0-9]{2})[2-9][0-9]{6,7}|([+]86|86|0086)?[48]00[0-9]{7}'
        || '|([+]86|86|0086)?13800138000|[+]?(0+|1+|2+|3+|4+|5+|6+|7+|8+|9+)|[+]8611111111111'
    )
"""


@dataclass(frozen=True, slots=True)
class Links:
    """Evidence that may join, of values carried by two and more.

    place: in `Evidence`; rec, val, strength as there; first and second: the link's value's first and second rec by idx.
    """

    place: Ints
    rec: Ints
    val: Ints
    strength: Ints
    first: Ints
    second: Ints


def judge_values(con: duckdb.DuckDBPyConnection, blocked: str, config: IdentityConfig) -> None:
    """Write `night_state` (values that are not ok) and `night_denied` (patient files that lose a value).

    night_state: val, state, persons, adults, unions, records, owner_row
    night_denied: row, val
    """
    con.execute(f"""
        create or replace temp table night_blocked as
        with
        listed as (
            select value_type, value from {blocked}
            union
            select value_type, value from night_value where {_UNUSABLE_PHONE}
        ),
        refused as (
            select night_value.val from night_value semi join listed using (value_type, value)
            where night_value.value not in (select a from night_override where kind = 'allow')
            union
            select val from night_value where value in (select a from night_override where kind = 'block')
        )
        select val from refused
    """)
    # A value of one record joins nobody, so only shared values are counted in detail.
    con.execute(f"""
        create or replace temp table night_shared as
        select val, count(*)::integer as records
        from night_evidence
        where shape = {PHONE}
        group by val
        having count(*) > 1
    """)
    con.execute(f"""
        create or replace temp table night_claim as
        select
            evidence.val,
            record.row,
            coalesce('id:' || record.id_number, 'name:' || record.name_norm) as person,
            not record.is_minor as is_adult
        from night_evidence as evidence
        semi join night_shared using (val)
        inner join night_record as record using (row)
        where record.kind_rank = {PATIENT_RANK}
    """)
    con.execute("""
        create or replace temp table night_person as
        select val, person, bool_or(is_adult) as is_adult from night_claim where person is not null group by val, person
    """)
    con.execute(_STATES, _thresholds(config))
    con.execute(_OWNERS)
    con.execute(_DENIED)
    con.execute("""
        update night_state set owner_row = owner.row
        from (
            select claim.val, arg_min(claim.row, (record.first_seen_at, record.key)) as row
            from night_claim as claim
            inner join night_owner as owner on claim.val = owner.val and claim.person is not distinct from owner.person
                and (owner.row is null or claim.person is not null or claim.row = owner.row)
            inner join night_record as record on claim.row = record.row
            group by claim.val
        ) as owner
        where night_state.val = owner.val and night_state.state = 'family'
    """)


def admit_all(con: duckdb.DuckDBPyConnection) -> None:
    """Leave `night_state` and `night_denied` empty: every value joins (limits are off)."""
    con.execute("""
        create or replace temp table night_state (
            val integer, state varchar, persons integer, adults integer, unions integer, records integer,
            owner_row integer
        )
    """)
    con.execute("create or replace temp table night_denied (row integer, val integer)")


def unusable_values(con: duckdb.DuckDBPyConnection) -> Ints:
    """Values that join nobody, whoever carries them."""
    (values,) = fetch_ints(con, "select val from night_state where state in ('blocked', 'hub')")
    return values


def admitted_links(con: duckdb.DuckDBPyConnection, evidence: Evidence, records: Records) -> Links:
    """The evidence that states let through, of values that then still have two carriers."""
    (contested,) = fetch_ints(con, "select val from night_state where state = 'contested'")
    denied_row, denied_val = fetch_ints(con, "select row, val from night_denied")
    value_count = int(evidence.val.max(initial=-1)) + 1
    keep = ~_marked(unusable_values(con), value_count)[evidence.val]
    asked = np.flatnonzero(_marked(contested, value_count)[evidence.val])
    keep[asked[records.kind_rank[evidence.rec[asked]] == PATIENT_RANK]] = False
    if denied_val.size:
        asked = np.flatnonzero(_marked(denied_val, value_count)[evidence.val])
        asked = asked[records.kind_rank[evidence.rec[asked]] == PATIENT_RANK]
        pairs = evidence.rec[asked].astype(np.int64) * value_count + evidence.val[asked]
        keep[asked] &= ~np.isin(pairs, records.rec_of_row[denied_row].astype(np.int64) * value_count + denied_val)
    keep &= (np.bincount(evidence.val[keep], minlength=value_count) > 1)[evidence.val]
    place = np.flatnonzero(keep).astype(np.int32)
    return paired_links(place, evidence.rec[place], evidence.val[place], evidence.strength[place], records)


def paired_links(place: Ints, rec: Ints, val: Ints, strength: Ints, records: Records) -> Links:
    """Links with the first two carriers of their values; every value must have two."""
    idx = records.idx[rec]
    first, second = np.full((2, int(val.max(initial=-1)) + 1), records.count, dtype=np.int32)
    np.minimum.at(first, val, idx)
    later = idx != first[val]
    np.minimum.at(second, val[later], idx[later])
    return Links(place, rec, val, strength, records.by_idx[first[val]], records.by_idx[second[val]])


def _marked(positions: Ints, count: int) -> Truths:
    marks = np.zeros(count, dtype=np.bool_)
    marks[positions] = True
    return marks


def _thresholds(config: IdentityConfig) -> dict[str, int]:
    return {
        "hub_persons": config.hub_persons,
        "hub_unions": config.hub_unions,
        "hub_records": config.hub_records,
    }


_STATES = f"""
    create or replace temp table night_state as
    with
    person_counts as (
        select val, count(*) as persons, count(*) filter (is_adult) as adults from night_person group by val
    ),
    union_counts as (
        select phones.val, count(distinct unionids.val) as unions
        from night_evidence as phones
        semi join night_shared using (val)
        inner join night_evidence as unionids on phones.row = unionids.row and unionids.shape = {UNIONID}
        group by phones.val
    ),
    carried as (
        select val, records from night_shared
        union all
        select val, count(*) from night_evidence semi join night_blocked using (val) anti join night_shared using (val)
        group by val
    ),
    counted as (
        select
            carried.val,
            carried.records,
            coalesce(person_counts.persons, 0) as persons,
            coalesce(person_counts.adults, 0) as adults,
            coalesce(union_counts.unions, 0) as unions,
            night_blocked.val is not null as is_blocked,
            night_value.value in (select a from night_override where kind = 'allow') as is_allowed
        from carried
        inner join night_value using (val)
        left join person_counts using (val)
        left join union_counts using (val)
        left join night_blocked using (val)
    ),
    judged as (
        select
            val,
            case
                when is_blocked then 'blocked'
                when not is_allowed
                    and (persons > $hub_persons or unions > $hub_unions or records > $hub_records) then 'hub'
                when persons >= 2 and adults = 1 then 'family'
                when persons >= 2 then 'contested'
                else 'ok'
            end as state,
            persons::integer as persons,
            adults::integer as adults,
            unions::integer as unions,
            records::integer as records,
            null::integer as owner_row
        from counted
    )
    select * from judged where state <> 'ok'
"""

# Who owns a family's number: the person an operator named, else the one adult. A named file without a name owns alone.
_OWNERS = """
    create or replace temp table night_owner as
    with
    named as (
        select claim.val, claim.row, claim.person
        from night_override as said
        inner join night_value as value on said.kind = 'owner' and said.a = value.value
        inner join night_record as record on said.b = record.key
        inner join night_claim as claim on value.val = claim.val and record.row = claim.row
        qualify row_number() over (partition by claim.val order by said.id, record.key) = 1
    )
    select named.* from named semi join night_state on named.val = night_state.val
        and night_state.state in ('family', 'contested')
    union all
    select person.val, null, person.person
    from night_person as person
    semi join night_state on person.val = night_state.val and night_state.state = 'family'
    anti join named on person.val = named.val
    where person.is_adult
"""

# A contested value that an operator gave to somebody is a family's. The others lose it; an adult file without a name
# is not known to be somebody else's and keeps a value that no operator decided on.
_DENIED = """
    update night_state set state = 'family'
    where state = 'contested' and val in (select val from night_owner);
    create or replace temp table night_denied as
    select claim.row, claim.val
    from night_claim as claim
    inner join night_owner as owner using (val)
    where not (
        coalesce(claim.person = owner.person, false)
        or coalesce(claim.row = owner.row, false)
        or (owner.row is null and claim.person is null and claim.is_adult)
    )
"""
