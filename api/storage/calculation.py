"""Calculating smart tags and segments against the store: rules and former members in, a file and pointer rows out.

Nights and the API's workers both do it through here. Evaluating is `segment_engine.runtime.recalculate`'s; when it is
done, and on which version, is for the caller to say.

    found = read_inputs(connection, ids)              # one moment of the store
    made = calculate(found, opened, cursor, folder, now=now)
    committed = commit(connection, made, calculation)  # in one transaction; `behind` ones are compared anew
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import duckdb
from sqlalchemy import Connection

from api.storage.audience_members import static_members
from api.storage.audiences import (
    Calculation,
    Committed,
    NewVersion,
    StoredAudience,
    StoredRule,
    StoredVersion,
    commit_versions,
    current_versions,
    lock_audiences,
    note_refused,
    stored_rules,
    usable_audiences,
)
from segment_engine.predicates import InAudience
from segment_engine.problems import Problem
from segment_engine.runtime.bitmaps import Bitmap, nobody
from segment_engine.runtime.memberships import (
    DamagedMembershipsError,
    Membership,
    Merges,
    carried,
    difference,
    read_members,
    read_merges,
    write_memberships,
)
from segment_engine.runtime.recalculate import Rule, recalculate
from segment_engine.runtime.version import Opened, asking_for, customers_of
from segment_engine.tree import AudienceKind


@dataclass(frozen=True, slots=True)
class Inputs:
    """One moment of the store: rules to calculate, audiences that they may name, versions served, static members.

    static: of those that are named, the ids that were put in
    """

    rules: Sequence[StoredRule]
    usable: Sequence[StoredAudience]
    served: Mapping[int, StoredVersion]
    static: Mapping[int, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Made:
    """A calculation that is written down and not served yet.

    members: of each; merges: of the version that was asked; refused: why the others could not be calculated
    """

    versions: Sequence[NewVersion]
    members: Mapping[int, Bitmap]
    merges: Merges
    refused: Mapping[int, Sequence[Problem]]


def read_inputs(connection: Connection, ids: Collection[int] | None = None) -> Inputs:
    """What there is to calculate: all, or these."""
    usable = usable_audiences(connection)
    enabled = {one.id for one in usable}
    # On PostgreSQL one may have been enabled between the two queries.
    rules = [rule for rule in stored_rules(connection, ids) if rule.id in enabled]
    named = {one.id for one in usable if not one.is_smart}
    # Only those that a rule can mean: static ones may have millions of members.
    static = sorted(named & {number for rule in rules for number in _numbers_in(rule.document)})
    return Inputs(rules, usable, current_versions(connection), static_members(connection, static) if static else {})


def calculate(
    found: Inputs,
    opened: Opened,
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    *,
    now: datetime,
    workers: int = 2,
) -> Made:
    """Find out who is in, compare with who was, and write the file; raises what DuckDB raises when it is stopped."""
    merges = read_merges(connection)
    former = FormerMembers(folder, merges, opened.version.keys)
    lost = _lost(found, former)
    kinds = {one.id: AudienceKind(one.kind) for one in found.usable if one.id not in lost}

    def others(one: InAudience) -> Bitmap:
        if one.id in found.static:
            return customers_of(connection, opened.catalog, found.static[one.id], opened.version.keys)
        served = found.served.get(one.id)
        # One that was published and not calculated yet means nobody.
        return nobody(opened.version.keys) if served is None else former.now(served)

    tags, segments = (frozenset(id_ for id_, kind in kinds.items() if kind is wanted) for wanted in AudienceKind)
    asking = asking_for(opened, permissions=opened.catalog.permissions, tags=tags, segments=segments)
    rules = [Rule(InAudience(kinds[rule.id], rule.id), rule.document) for rule in found.rules]
    answer = recalculate(rules, opened, connection, asking=asking, others=others, workers=workers)
    members = {one.id: bitmap for one, bitmap in answer.members.items()}
    refused = {one.id: problems for one, problems in answer.refused.items()}
    definitions = {rule.id: rule.definition for rule in found.rules}
    made = Made((), members, merges, refused)
    return _written(made, definitions, found.served, former, folder, now)


def compare_anew(
    made: Made, behind: Collection[int], served: Mapping[int, StoredVersion], folder: Path, *, now: datetime
) -> Made:
    """The same members of these, compared with the versions that came between."""
    definitions = {one.audience_id: one.definition for one in made.versions}
    some = Made((), {one: made.members[one] for one in sorted(behind)}, made.merges, {})
    keys = max((len(one.words) * 64 for one in some.members.values()), default=0)
    return _written(some, definitions, served, FormerMembers(folder, made.merges, keys), folder, now)


def commit(connection: Connection, made: Made, calculation: Calculation) -> Committed:
    """Serve what was calculated, and note what could not be, in the caller's transaction."""
    lock_audiences(connection, {*made.refused, *(one.audience_id for one in made.versions)})
    note_refused(connection, made.refused, now=calculation.computed_at, read_at=calculation.knows_until)
    return commit_versions(connection, made.versions, calculation)


class FormerMembers:
    """Members of versions that are served, read once each."""

    def __init__(self, folder: Path, merges: Merges, keys: int) -> None:
        self._folder = folder
        self._merges = merges
        self._keys = keys
        self._read: dict[tuple[str, int], Bitmap] = {}

    def then(self, versions: Sequence[StoredVersion]) -> dict[int, Bitmap]:
        """By the keys that they had, by audience; whose file is lost is left out."""
        by_file: dict[str, list[int]] = {}
        for one in versions:
            by_file.setdefault(one.file, []).append(one.audience_id)
        found: dict[int, Bitmap] = {}
        for file, ids in by_file.items():
            with suppress(DamagedMembershipsError):
                found |= read_members(self._folder, file, ids)
        return found

    def now(self, version: StoredVersion) -> Bitmap:
        """By the keys that they have in the version that is asked; raises DamagedMembershipsError."""
        key = version.file, version.audience_id
        if key not in self._read:
            then = read_members(self._folder, version.file, [version.audience_id])[version.audience_id]
            self._read[key] = carried(then, self._merges, self._keys)
        return self._read[key]


def _written(
    made: Made,
    definitions: Mapping[int, int],
    served: Mapping[int, StoredVersion],
    former: FormerMembers,
    folder: Path,
    now: datetime,
) -> Made:
    if not made.members:
        return made
    then = former.then([served[one] for one in made.members if one in served])
    memberships = [
        Membership(one, bitmap, difference(then.get(one), bitmap, made.merges)) for one, bitmap in made.members.items()
    ]
    file = write_memberships(folder, memberships, now=now)
    versions = [
        NewVersion(
            audience_id=one.audience_id,
            base=served[one.audience_id].number if one.audience_id in served else 0,
            definition=definitions[one.audience_id],
            member_count=len(one.members),
            entered_count=len(one.difference.entered),
            left_count=len(one.difference.left),
            file=file,
        )
        for one in memberships
    ]
    return replace(made, versions=versions)


def _lost(found: Inputs, former: FormerMembers) -> set[int]:
    """Those that are named, are not calculated now, and of whose members the file is lost."""
    named = {number for rule in found.rules for number in _numbers_in(rule.document)}
    lost = set()
    for number in named.intersection(found.served).difference(rule.id for rule in found.rules):
        try:
            former.now(found.served[number])
        except DamagedMembershipsError:
            lost.add(number)
    return lost


def _numbers_in(document: object) -> set[int]:
    """Every whole number of a document, however deep: among them the ids that it names."""
    found: set[int] = set()
    waiting = [document]
    while waiting:
        match waiting.pop():
            case dict() as members:
                waiting += members.values()
            case list() as items:
                waiting += items
            case int() as number if number is not True:
                found.add(number)
    return found
