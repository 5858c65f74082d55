"""From links to customers: plain components, and an ordered replay inside those that break a limit.

Replayed are units: the records that operators merged are one, every other record is one of its own. A unit says per
attribute what the first of its files (by idx) that states it says, carries the unionids of all its records, and counts
each of them. Units are within the limits together when they say at most one thing per attribute, carry and count no
more than the thresholds allow, and hold no two records of a split. That is hereditary: what is within the limits, any
part of it is. A link is refused only where the units that it would join are not within the limits; so inside a
component that is, no link is ever refused. Components do not touch each other, so replaying only the others equals
replaying everything.

Merging past a threshold is the operator's right: such a unit stays whole, and takes in whoever adds nothing to the
breach. The replay alone knows of that (`joiner.py`); a component with such a unit is not within the limits and always
replayed.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import duckdb
import numpy as np

from pipelines.identity.components import connected_components
from pipelines.identity.encode import TIER_BITS, UNIONID, Evidence, Records, text_ranks
from pipelines.identity.frames import fetch_ints, store
from pipelines.identity.joiner import Group, Joiner, Split
from pipelines.identity.model import PATIENT_RANK, IdentityConfig, Ints, Truths
from pipelines.identity.overrides import Overrides
from pipelines.identity.value_states import Links, unusable_values


@dataclass(frozen=True, slots=True)
class Conflict:
    """A link that was refused: the record that carries the value, and the first record the value had joined.

    held_by is None when the record alone breaks a limit.
    """

    rec: int
    val: int
    tier: int
    held_by: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Partition:
    """Tonight's customers.

    component: for each rec the smallest rec of its customer; unlimited: the same, had no limit refused a link;
    accepted: for each link whether it joined; voice: for each rec the first record of its operator-merged group (itself
    without one); refused links in order.
    """

    component: Ints
    unlimited: Ints
    accepted: Truths
    voice: Ints
    conflicts: list[Conflict]


@dataclass(frozen=True, slots=True)
class Joined:
    """Records joined along every link: voice and unlimited as in `Partition`; followers: who has another's voice."""

    voice: Ints
    followers: Ints
    unlimited: Ints


def join_freely(con: duckdb.DuckDBPyConnection, links: Links, records: Records, overrides: Overrides) -> Joined:
    """Join records along links and merges, whatever the limits say."""
    voice = _voices(con, overrides, records)
    followers = np.flatnonzero(voice != np.arange(records.count)).astype(np.int32)
    unlimited = connected_components(
        np.concatenate([links.rec, followers]), np.concatenate([links.first, voice[followers]]), count=records.count
    )
    return Joined(voice, followers, unlimited)


def partition(
    con: duckdb.DuckDBPyConnection,
    joined: Joined,
    links: Links,
    evidence: Evidence,
    records: Records,
    overrides: Overrides,
    config: IdentityConfig,
) -> Partition:
    """Take apart what the limits do not allow to be joined."""
    voice, unlimited = joined.voice, joined.unlimited
    accepted = np.ones(links.rec.size, dtype=np.bool_)
    if not config.limits:
        return Partition(unlimited, unlimited, accepted, voice, [])
    unionids, splits = _unionids_of(con, evidence, records), _splits(con, overrides, records)
    rules = _Rules(config, voice, joined.followers, unionids, splits)
    broken = _broken(con, unlimited, records, rules)
    if not broken.size:
        return Partition(unlimited, unlimited, accepted, voice, [])
    component = unlimited.copy()
    conflicts = _replay(con, broken, component, accepted, links, records, rules)
    return Partition(component, unlimited, accepted, voice, conflicts)


@dataclass(frozen=True, slots=True)
class _Rules:
    config: IdentityConfig
    voice: Ints
    followers: Ints  # the recs that have another's voice
    unionids: tuple[Ints, Ints]  # (rec, val): what counts towards a customer's unionids
    splits: list[Split]


def _recs_of_keys(con: duckdb.DuckDBPyConnection, keys: Iterable[str], records: Records) -> dict[str, int]:
    """The rec of each key that is resolved tonight."""
    found = con.execute(
        "select key, row from night_record where is_member and key in (select unnest($keys))", {"keys": list(keys)}
    )
    return {key: int(records.rec_of_row[row]) for key, row in found.fetchall()}


def _voices(con: duckdb.DuckDBPyConnection, overrides: Overrides, records: Records) -> Ints:
    """For each rec the first (by idx) of the records that operators declared one person with it."""
    voice: Ints = np.arange(records.count, dtype=np.int32)
    groups = overrides.merged()
    recs = _recs_of_keys(con, [key for keys in groups for key in keys], records) if groups else {}
    for keys in groups:
        present = [recs[key] for key in keys if key in recs]
        if present:
            voice[present] = min(present, key=lambda rec: int(records.idx[rec]))
    return voice


def _splits(con: duckdb.DuckDBPyConnection, overrides: Overrides, records: Records) -> list[Split]:
    rows = overrides.of_kind("split")
    recs = _recs_of_keys(con, [key for row in rows for key in (row.a, row.b)], records) if rows else {}
    return [(recs[row.a], recs[row.b], row.id) for row in rows if row.a in recs and row.b in recs]


def _unionids_of(con: duckdb.DuckDBPyConnection, evidence: Evidence, records: Records) -> tuple[Ints, Ints]:
    """The unionids each record carries, blocked ones apart."""
    counted = (evidence.shape == UNIONID) & ~np.isin(evidence.val, unusable_values(con))
    return evidence.rec[counted], evidence.val[counted]


def _broken(con: duckdb.DuckDBPyConnection, component: Ints, records: Records, rules: _Rules) -> Ints:
    """Components that are not within the limits, in ascending order."""
    count = records.count
    size = np.bincount(component, minlength=count)
    unionids = _distinct_unionids(component, rules)
    broken = (size > rules.config.customer_records) | (unionids > rules.config.customer_unions)
    patients = np.flatnonzero(records.kind_rank == PATIENT_RANK)
    several = np.bincount(component[patients], minlength=count) > 1
    patients = patients[several[component[patients]]]
    if patients.size:
        _store_files(con, patients, component, records, rules)
        (unlike,) = fetch_ints(
            con,
            f"""
            select component
            from ({_SAID})
            group by component
            having
                min(name_norm) <> max(name_norm)
                or min(birth_date) <> max(birth_date)
                or min(id_number) <> max(id_number)
            """,
        )
        broken[unlike] = True
    for a, b, _ in rules.splits:
        if component[a] == component[b]:
            broken[component[a]] = True
    return np.flatnonzero(broken)


def _distinct_unionids(component: Ints, rules: _Rules) -> Ints:
    """How many unionids each component carries; 0 where so few records carry one that they cannot be too many."""
    rec, val = rules.unionids
    carrier = component[rec]
    several = (np.bincount(carrier, minlength=component.size) > rules.config.customer_unions)[carrier]
    carrier, val = carrier[several], val[several]
    width = int(val.max(initial=0)) + 1
    pairs = np.sort(carrier.astype(np.int64) * width + val)
    first = np.insert(pairs[1:] != pairs[:-1], 0, True) if pairs.size else np.empty(0, dtype=np.bool_)
    return np.bincount(pairs[first] // width, minlength=component.size)


def _store_files(
    con: duckdb.DuckDBPyConnection, patients: Ints, component: Ints, records: Records, rules: _Rules
) -> None:
    """Write `night_file`, which `_SAID` reads: these patient files, and the unit and the component of each."""
    merged = np.zeros(records.count, dtype=np.bool_)
    merged[rules.followers] = merged[rules.voice[rules.followers]] = True
    store(
        con,
        "night_file",
        {
            "row": records.row[patients],
            "voice": rules.voice[patients],
            "component": component[patients],
            "idx": records.idx[patients],
            "is_merged": merged[patients],
        },
    )


# What each unit with patient files says. Only merged files, of which there are few, are grouped.
_SAID = """
    select voice, component, name_norm, birth_date, id_number
    from night_file
    inner join night_record using (row)
    where not is_merged
    union all
    select
        voice,
        component,
        arg_min(name_norm, idx) filter (where name_norm is not null),
        arg_min(birth_date, idx) filter (where birth_date is not null),
        arg_min(id_number, idx) filter (where id_number is not null)
    from night_file
    inner join night_record using (row)
    where is_merged
    group by voice, component
"""


def _replay(
    con: duckdb.DuckDBPyConnection,
    broken: Ints,
    component: Ints,
    accepted: Truths,
    links: Links,
    records: Records,
    rules: _Rules,
) -> list[Conflict]:
    """Join the broken components again, link by link; corrects `component` and `accepted` in place."""
    is_broken = np.zeros(records.count, dtype=np.bool_)
    is_broken[broken] = True
    members = np.flatnonzero(is_broken[component])
    positions = _replay_order(con, np.flatnonzero(is_broken[component[links.rec]]), links, records)
    joiner = Joiner(_units(con, members, component, records, rules), rules.splits, rules.config)
    conflicts = []
    for position in positions.tolist():
        rec, val = int(links.rec[position]), int(links.val[position])
        refusal = joiner.join(int(rules.voice[rec]), rec, val)
        if refusal is not None:
            accepted[position] = False
            held_by, reason = refusal
            conflicts.append(Conflict(rec, val, int(links.strength[position]) >> TIER_BITS, held_by, reason))
    smallest: dict[int, int] = {}
    roots = [joiner.root(int(rules.voice[rec])) for rec in members.tolist()]
    for rec, root in zip(members.tolist(), roots, strict=True):
        smallest[root] = min(rec, smallest.get(root, rec))
    component[members] = [smallest[root] for root in roots]
    return conflicts


def _replay_order(con: duckdb.DuckDBPyConnection, positions: Ints, links: Links, records: Records) -> Ints:
    """The links at `positions` in order of (tier, idx, position in tier, value type, value)."""
    strength = links.strength[positions]
    ranks = text_ranks(con, links.val[positions])
    order = np.lexsort((ranks, strength, records.idx[links.rec[positions]], strength >> TIER_BITS))
    return positions[order]


def _units(
    con: duckdb.DuckDBPyConnection, members: Ints, component: Ints, records: Records, rules: _Rules
) -> dict[int, Group]:
    """Each unit among the members as a group of its own, by its voice."""
    voices, sizes = np.unique(rules.voice[members], return_counts=True)
    units = {voice: Group(records=size) for voice, size in zip(voices.tolist(), sizes.tolist(), strict=True)}
    _store_files(con, members[records.kind_rank[members] == PATIENT_RANK], component, records, rules)
    said = con.execute(f"select voice, name_norm, birth_date::varchar, id_number from ({_SAID})").fetchall()
    for voice, *attributes in said:
        units[voice].attributes = attributes
    carried: Mapping[int, set[int]] = defaultdict(set)
    chosen = np.isin(rules.unionids[0], members)
    speakers = rules.voice[rules.unionids[0][chosen]]
    for voice, val in zip(speakers.tolist(), rules.unionids[1][chosen].tolist(), strict=True):
        carried[voice].add(val)
    for voice, values in carried.items():
        units[voice].unionids = frozenset(values)
        units[voice].merged_unionids = len(values) if units[voice].records > 1 else 0
    for split in rules.splits:
        for rec in split[:2]:
            voice = int(rules.voice[rec])
            if voice in units:
                units[voice].apart |= {rec}
    return units
