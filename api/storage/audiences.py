"""Tags and segments as those who calculate them see them: which there are, their rules, and which files count.

Shared by the API's workers and the night. What people may do with definitions belongs to `api.audiences`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Connection, and_, delete, func, insert, inspect, not_, or_, select, tuple_, update

from api.storage.audience_rules import references
from api.storage.tables.audiences import audience, audience_definition, audience_version
from segment_engine.problems import Problem
from segment_engine.references import dependants_of

Kind = Literal["tag", "segment"]
Trigger = Literal["nightly", "manual", "definition"]
# The least by which stored moments differ.
_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class StoredAudience:
    """A tag or segment that may be asked about; definition: what counts of a smart one, None for a static one."""

    id: int
    kind: Kind
    name: str
    is_smart: bool
    revision: int
    definition: int | None


@dataclass(frozen=True, slots=True)
class StoredRule:
    """What a smart one is calculated by."""

    id: int
    kind: Kind
    definition: int
    document: Any


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A calculation that counts; its members stand in the file. warehouse: the published version that was asked."""

    audience_id: int
    number: int
    definition: int
    warehouse: str
    as_of: date
    computed_at: datetime
    trigger: Trigger
    operator: str
    member_count: int
    entered_count: int
    left_count: int
    file: str


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A calculation that is to count; base: the number of the version that it was compared with, 0 for none."""

    audience_id: int
    base: int
    definition: int
    member_count: int
    entered_count: int
    left_count: int
    file: str


@dataclass(frozen=True, slots=True)
class Calculation:
    """What all versions of one calculation have in common.

    read_at: when its rules were read, where that was long before `computed_at`
    """

    warehouse: str
    as_of: date
    computed_at: datetime
    trigger: Trigger
    operator: str
    read_at: datetime | None = None

    @property
    def knows_until(self) -> datetime:
        """What was published, disabled or found wrong later is no news of this calculation's."""
        return self.read_at or self.computed_at


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of a calculation, by audience.

    done: also what was committed before; behind: somebody else's version came between, so that the difference is
    another one; dropped: nobody wants it any more, since the audience was disabled or deleted, or what came between is
    by a later definition (its own, or of one that it names), or on later data
    """

    done: Sequence[int]
    behind: Sequence[int]
    dropped: Sequence[int]


def is_there(connection: Connection) -> bool:
    """Whether the store has these tables: a night may meet one that nobody has upgraded yet."""
    return inspect(connection).has_table(audience.name)


def usable_audiences(connection: Connection) -> list[StoredAudience]:
    """Those that filters may name: enabled, and static or published, in the order of their ids."""
    return _stored(connection, _usable())


def disabled_audiences(connection: Connection) -> list[StoredAudience]:
    """Those that are there and that filters may not name, in the order of their ids."""
    return _stored(connection, and_(audience.c.deleted_at.is_(None), not_(_usable())))


def stored_audiences(connection: Connection, ids: Collection[int]) -> list[StoredAudience]:
    """These, disabled and deleted ones too, in the order of their ids."""
    return _stored(connection, audience.c.id.in_(ids))


def _stored(connection: Connection, condition: Any) -> list[StoredAudience]:
    columns = audience.c
    query = (
        select(columns.id, columns.kind, columns.name, columns.is_smart, columns.revision, columns.definition)
        .where(condition)
        .order_by(columns.id)
    )
    return [StoredAudience(**row) for row in connection.execute(query).mappings()]


def revision_of(connection: Connection, audience_id: int) -> int:
    """How often its members changed, or were calculated."""
    return int(connection.execute(select(audience.c.revision).where(audience.c.id == audience_id)).scalar_one())


def stored_rules(connection: Connection, ids: Collection[int] | None = None) -> list[StoredRule]:
    """The rules of all smart ones that may be calculated, or of these, in the order of their ids."""
    definitions = audience_definition.c
    query = (
        select(audience.c.id, audience.c.kind, audience.c.definition, definitions.filter.label("document"))
        .join(
            audience_definition,
            and_(definitions.audience_id == audience.c.id, definitions.number == audience.c.definition),
        )
        .where(_usable(), audience.c.is_smart)
        .order_by(audience.c.id)
    )
    if ids is not None:
        query = query.where(audience.c.id.in_(ids))
    return [StoredRule(**row) for row in connection.execute(query).mappings()]


def current_versions(
    connection: Connection, ids: Collection[int] | None = None, *, at: datetime | None = None
) -> dict[int, StoredVersion]:
    """The version of each that is served, or that was at a moment; of these, or of all that have one."""
    columns = audience_version.c
    numbers = select(func.max(columns.number)).where(columns.audience_id == audience.c.id)
    if at is not None:
        numbers = numbers.where(columns.computed_at <= at)
    # One look into the index for each audience: the table holds a row of every one of them for every night.
    newest = select(audience.c.id, numbers.scalar_subquery())
    if ids is not None:
        newest = newest.where(audience.c.id.in_(ids))
    query = select(audience_version).where(tuple_(columns.audience_id, columns.number).in_(newest))
    return {row["audience_id"]: version_of(row) for row in connection.execute(query).mappings()}


def version_of(row: Mapping[str, Any] | Any) -> StoredVersion:
    """A row of `audience_version`."""
    return StoredVersion(**{**row, "as_of": date.fromisoformat(row["as_of"])})


def commit_versions(connection: Connection, versions: Sequence[NewVersion], calculation: Calculation) -> Committed:
    """Make the calculation's versions the ones that are served, all in the caller's transaction; repeated, nothing."""
    ids = [one.audience_id for one in versions]
    usable = lock_audiences(connection, ids)
    served, there = current_versions(connection, ids), _committed(connection, versions)
    outcome: dict[str, list[int]] = {"new": [], "done": [], "behind": [], "dropped": []}
    by_old_rules = _by_old_rules(connection, versions, served)
    for one in versions:
        is_wanted = one.audience_id in usable and one.audience_id not in by_old_rules
        fate = _fate(one, served.get(one.audience_id), calculation) if is_wanted else "dropped"
        outcome["done" if one.audience_id in there else fate].append(one.audience_id)
    new = set(outcome["new"])
    rows = [_row(one, served.get(one.audience_id), calculation) for one in versions if one.audience_id in new]
    if rows:
        connection.execute(insert(audience_version), rows)
        ours = update(audience).where(audience.c.id.in_(new))
        connection.execute(ours.values(revision=audience.c.revision + 1))
        # What was found wrong since the rules were read is wrong still.
        connection.execute(
            ours.where(audience.c.failed_at <= calculation.knows_until).values(problems=None, failed_at=None)
        )
    return Committed(sorted(outcome["new"] + outcome["done"]), outcome["behind"], outcome["dropped"])


def drop_versions(connection: Connection, *, before: datetime) -> int:
    """Forget calculations of before a moment; how many they were.

    The last of them of each audience stays: it says who was in at that moment, or is still.
    """
    columns = audience_version.c
    newest = (
        select(columns.audience_id, func.max(columns.number))
        .where(columns.computed_at < before)
        .group_by(columns.audience_id)
    )
    old = and_(columns.computed_at < before, tuple_(columns.audience_id, columns.number).not_in(newest))
    return connection.execute(delete(audience_version).where(old)).rowcount


def files_in_use(connection: Connection) -> frozenset[str]:
    """The files of members that a version points to."""
    return frozenset(connection.execute(select(audience_version.c.file).distinct()).scalars())


def note_refused(
    connection: Connection, refused: Mapping[int, Sequence[Problem]], *, now: datetime, read_at: datetime | None = None
) -> None:
    """Write down why these could not be calculated; what is served stays.

    Unless they were calculated or failed since, by rules of later than `read_at`, which is `now` where nothing is said.
    """
    since = read_at or now
    newer = select(audience_version.c.audience_id).where(audience_version.c.computed_at >= since)
    for audience_id, problems in sorted(refused.items()):
        told = [asdict(one) for one in problems]
        columns = audience.c
        is_newest = or_(columns.failed_at.is_(None), columns.failed_at <= since)
        statement = update(audience).where(columns.id == audience_id, columns.id.not_in(newer), is_newest)
        connection.execute(statement.values(problems=told, failed_at=now))


def lock_audiences(connection: Connection, ids: Collection[int]) -> set[int]:
    """Let nobody else change these until the transaction ends; those of them that are usable.

    In one order, so that two who do it at once wait for each other and not in a circle.
    """
    columns = audience.c
    locked = select(columns.id, _usable().label("usable")).where(columns.id.in_(ids))
    rows = connection.execute(locked.order_by(columns.id).with_for_update()).mappings()
    return {row["id"] for row in rows if row["usable"]}


def _committed(connection: Connection, versions: Sequence[NewVersion]) -> set[int]:
    """Those that count already: whoever commits them again was killed before it could write that down."""
    columns = audience_version.c
    files, ids = {one.file for one in versions}, [one.audience_id for one in versions]
    query = select(columns.audience_id, columns.file).where(columns.audience_id.in_(ids), columns.file.in_(files))
    there = {(number, file) for number, file in connection.execute(query)}
    return {one.audience_id for one in versions if (one.audience_id, one.file) in there}


def _by_old_rules(
    connection: Connection, versions: Sequence[NewVersion], served: Mapping[int, StoredVersion]
) -> set[int]:
    """Those of which members by a later definition are served, and whoever names one of them.

    Whoever names it was calculated by its old rule too: with the new members of the one and the old of the other an
    edit would be half applied.
    """
    old = {
        one.audience_id
        for one in versions
        if one.audience_id in served and served[one.audience_id].definition > one.definition
    }
    return old if not old else old.union(dependants_of(references(connection), old))


def _fate(one: NewVersion, current: StoredVersion | None, calculation: Calculation) -> str:
    if one.base == (0 if current is None else current.number):
        return "new"
    is_overtaken = current is not None and current.definition == one.definition and _age(current) > _age(calculation)
    return "dropped" if is_overtaken else "behind"


def _age(one: StoredVersion | Calculation) -> tuple[date, int, str, datetime]:
    """By what one calculation is newer than another: its day, the version published of that day, its moment."""
    return one.as_of, len(one.warehouse), one.warehouse, one.computed_at


def _usable() -> Any:
    columns = audience.c
    has_rule = or_(not_(columns.is_smart), columns.definition.is_not(None))
    return and_(columns.is_enabled, columns.deleted_at.is_(None), has_rule)


def _row(one: NewVersion, current: StoredVersion | None, calculation: Calculation) -> dict[str, Any]:
    computed_at = calculation.computed_at
    # What was calculated meanwhile counted first, and so it does in the order of moments. No two are of one moment:
    # each was served for a while, and a page of the log that ends between two goes on at the right one.
    if current is not None and current.computed_at >= computed_at:
        computed_at = current.computed_at + _TICK
    return {
        "audience_id": one.audience_id,
        "number": one.base + 1,
        "definition": one.definition,
        "warehouse": calculation.warehouse,
        "as_of": calculation.as_of.isoformat(),
        "computed_at": computed_at,
        "trigger": calculation.trigger,
        "operator": calculation.operator,
        "member_count": one.member_count,
        "entered_count": one.entered_count,
        "left_count": one.left_count,
        "file": one.file,
    }
