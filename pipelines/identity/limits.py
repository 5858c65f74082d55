"""From links to customers: plain components, and an ordered replay inside those that break a limit.

A limit is hereditary: a part of a legal group is legal. So a legal component never refuses a link, components do not
touch each other, and replaying only the broken ones equals replaying everything.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import duckdb
import numpy as np

from pipelines.identity.components import connected_components
from pipelines.identity.encode import TIER_BITS, UNIONID, Evidence, Records, text_ranks
from pipelines.identity.frames import fetch_ints, store
from pipelines.identity.model import PATIENT_RANK, IdentityConfig, Ints, Truths
from pipelines.identity.overrides import Overrides
from pipelines.identity.value_states import Links, unusable_values

ATTRIBUTES = ("name", "birth_date", "id_number")


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


def partition(
    con: duckdb.DuckDBPyConnection,
    links: Links,
    evidence: Evidence,
    records: Records,
    overrides: Overrides,
    config: IdentityConfig,
) -> Partition:
    """Join records along links as far as the limits allow."""
    voice = _voices(con, overrides, records)
    merged = np.flatnonzero(voice != np.arange(records.count)).astype(np.int32)
    unlimited = connected_components(
        np.concatenate([links.rec, merged]), np.concatenate([links.first, voice[merged]]), count=records.count
    )
    accepted = np.ones(links.rec.size, dtype=np.bool_)
    if not config.limits:
        return Partition(unlimited, unlimited, accepted, voice, [])
    rules = _Rules(config, voice, _unionids_of(con, evidence, records), _splits(con, overrides, records))
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
    unionids: tuple[Ints, Ints]  # (rec, val): what counts towards a customer's unionids
    splits: list[tuple[int, int, str]]  # (rec, rec, override id)


@dataclass(slots=True)
class _Group:
    """What the limits look at in a group of records."""

    records: int = 0
    attributes: list[str | None] = field(default_factory=lambda: [None] * len(ATTRIBUTES))
    unionids: frozenset[int] = frozenset()
    apart: frozenset[int] = frozenset()  # members that a split names


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


def _splits(con: duckdb.DuckDBPyConnection, overrides: Overrides, records: Records) -> list[tuple[int, int, str]]:
    rows = overrides.of_kind("split")
    recs = _recs_of_keys(con, [key for row in rows for key in (row.a, row.b)], records) if rows else {}
    return [(recs[row.a], recs[row.b], row.id) for row in rows if row.a in recs and row.b in recs]


def _unionids_of(con: duckdb.DuckDBPyConnection, evidence: Evidence, records: Records) -> tuple[Ints, Ints]:
    """The unionids each record carries, blocked ones apart."""
    counted = (evidence.shape == UNIONID) & ~np.isin(evidence.val, unusable_values(con))
    return evidence.rec[counted], evidence.val[counted]


def _broken(con: duckdb.DuckDBPyConnection, component: Ints, records: Records, rules: _Rules) -> Ints:
    """Components that break a limit, in ascending order."""
    count = records.count
    speaks = rules.voice == np.arange(count)
    size = np.bincount(component[speaks], minlength=count)
    unionids = _distinct_unionids(component, speaks, rules)
    broken = (size > rules.config.customer_records) | (unionids > rules.config.customer_unions)
    patients = np.flatnonzero(speaks & (records.kind_rank == PATIENT_RANK))
    several = np.bincount(component[patients], minlength=count) > 1
    patients = patients[several[component[patients]]]
    if patients.size:
        store(con, "night_several", {"row": records.row[patients], "component": component[patients]})
        (unlike,) = fetch_ints(
            con,
            """
            select component
            from night_several
            inner join night_record using (row)
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


def _distinct_unionids(component: Ints, speaks: Truths, rules: _Rules) -> Ints:
    """How many unionids each component carries."""
    rec, val = rules.unionids
    heard = speaks[rec]
    width = int(val.max(initial=0)) + 1
    pairs = np.sort(component[rec[heard]].astype(np.int64) * width + val[heard])
    first = np.insert(pairs[1:] != pairs[:-1], 0, True) if pairs.size else np.empty(0, dtype=np.bool_)
    return np.bincount(pairs[first] // width, minlength=component.size)


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
    joiner = _Joiner(_groups(con, members, records, rules), rules)
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


def _groups(con: duckdb.DuckDBPyConnection, members: Ints, records: Records, rules: _Rules) -> dict[int, _Group]:
    """Each voice among the members as a group of its own."""
    groups: dict[int, _Group] = {int(rec): _Group(records=1) for rec in members[rules.voice[members] == members]}
    store(con, "night_member_of_broken", {"rec": members, "row": records.row[members]})
    stated = con.execute(f"""
        select rec, name_norm, birth_date::varchar, id_number
        from night_member_of_broken
        inner join night_record using (row)
        where kind_rank = {PATIENT_RANK}
    """).fetchall()
    for rec, *attributes in stated:
        if rec in groups:
            groups[rec].attributes = attributes
    carried: Mapping[int, set[int]] = defaultdict(set)
    chosen = np.isin(rules.unionids[0], members)
    for rec, val in zip(rules.unionids[0][chosen].tolist(), rules.unionids[1][chosen].tolist(), strict=True):
        carried[rec].add(val)
    for rec, values in carried.items():
        if rec in groups:
            groups[rec].unionids = frozenset(values)
    for split in rules.splits:
        for rec in split[:2]:
            voice = int(rules.voice[rec])
            if voice in groups:
                groups[voice].apart |= {rec}
    return groups


class _Joiner:
    """A union-find over voices and values that refuses a link which would break a limit."""

    def __init__(self, groups: dict[int, _Group], rules: _Rules) -> None:
        self._groups = groups
        self._parent = {voice: voice for voice in groups}
        self._first_of_value: dict[int, tuple[int, int]] = {}  # val → (voice, rec) that brought it in
        self._config = rules.config
        self._apart: Mapping[int, list[tuple[int, str]]] = defaultdict(list)
        for a, b, override_id in rules.splits:
            self._apart[a].append((b, override_id))
            self._apart[b].append((a, override_id))

    def root(self, voice: int) -> int:
        while self._parent[voice] != voice:
            self._parent[voice] = self._parent[self._parent[voice]]
            voice = self._parent[voice]
        return voice

    def join(self, voice: int, rec: int, val: int) -> tuple[int | None, str] | None:
        """Tie `rec` to the value; or say which record holds the value and which limit stands against it."""
        if len(self._groups[self.root(voice)].unionids) > self._config.customer_unions:
            return None, "unionids"
        if val not in self._first_of_value:
            self._first_of_value[val] = (voice, rec)
            return None
        holder, held_by = self._first_of_value[val]
        left, right = self.root(voice), self.root(holder)
        if left == right:
            return None
        one, other = self._groups[left], self._groups[right]
        reason = self._objection(one, other)
        if reason is not None:
            return held_by, reason
        self._parent[left] = right
        # In place: a night joins a hundred thousand times, and new objects cost more here than the union itself.
        other.records += one.records
        other.attributes = [a if a is not None else b for a, b in zip(one.attributes, other.attributes, strict=True)]
        if one.unionids:
            other.unionids |= one.unionids
        if one.apart:
            other.apart |= one.apart
        return None

    def _objection(self, one: _Group, other: _Group) -> str | None:
        for attribute, a, b in zip(ATTRIBUTES, one.attributes, other.attributes, strict=True):
            if a is not None and b is not None and a != b:
                return attribute
        # Counting both is an upper bound; only where it is too much does it matter which they share.
        several = len(one.unionids) + len(other.unionids) > self._config.customer_unions
        if several and len(one.unionids | other.unionids) > self._config.customer_unions:
            return "unionids"
        if one.records + other.records > self._config.customer_records:
            return "records"
        if not one.apart or not other.apart:
            return None
        for rec in sorted(one.apart):
            for partner, override_id in self._apart[rec]:
                if partner in other.apart:
                    return f"split:{override_id}"
        return None
