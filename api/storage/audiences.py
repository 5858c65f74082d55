"""Tags and segments as those who calculate them see them: which there are, their rules, and which files count.

Shared by the API's workers and the night. What people may do with definitions belongs to `api.audiences`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import Connection, and_, func, insert, inspect, or_, select, update

from api.storage.tables.audiences import audience, audience_definition, audience_version
from segment_engine.problems import Problem

Kind = Literal["tag", "segment"]
Trigger = Literal["nightly", "manual", "definition"]


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
    """What all versions of one calculation have in common."""

    warehouse: str
    as_of: date
    computed_at: datetime
    trigger: Trigger
    operator: str


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of a calculation, by audience.

    behind: somebody else's version came between, so that the difference is another one; dropped: nobody wants it any
    more, since the audience was disabled or deleted, or has been calculated by a later definition
    """

    done: Sequence[int]
    behind: Sequence[int]
    dropped: Sequence[int]


def is_there(connection: Connection) -> bool:
    """Whether the store has these tables: a night may meet one that nobody has upgraded yet."""
    return inspect(connection).has_table(audience.name)


def usable_audiences(connection: Connection) -> list[StoredAudience]:
    """Those that filters may name: enabled, and static or published, in the order of their ids."""
    columns = audience.c
    query = (
        select(columns.id, columns.kind, columns.name, columns.is_smart, columns.revision, columns.definition)
        .where(_usable())
        .order_by(columns.id)
    )
    return [StoredAudience(**row) for row in connection.execute(query).mappings()]


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
    newest = select(columns.audience_id, func.max(columns.number).label("number")).group_by(columns.audience_id)
    if at is not None:
        newest = newest.where(columns.computed_at <= at)
    if ids is not None:
        newest = newest.where(columns.audience_id.in_(ids))
    chosen = newest.subquery()
    query = select(audience_version).join(
        chosen, and_(columns.audience_id == chosen.c.audience_id, columns.number == chosen.c.number)
    )
    return {row["audience_id"]: version_of(row) for row in connection.execute(query).mappings()}


def version_of(row: Mapping[str, Any] | Any) -> StoredVersion:
    """A row of `audience_version`."""
    return StoredVersion(**{**row, "as_of": date.fromisoformat(row["as_of"])})


def commit_versions(connection: Connection, versions: Sequence[NewVersion], calculation: Calculation) -> Committed:
    """Make the calculation's versions the ones that are served, all in the caller's transaction."""
    ids = [one.audience_id for one in versions]
    # In one order, so that two who commit at once wait for each other and not in a circle.
    locked = select(audience.c.id).where(audience.c.id.in_(ids), _usable()).order_by(audience.c.id).with_for_update()
    usable: set[int] = set(connection.execute(locked).scalars())
    served = current_versions(connection, ids)
    done, behind, dropped = [], [], []
    for one in versions:
        current = served.get(one.audience_id)
        if one.audience_id not in usable or (current is not None and current.definition > one.definition):
            dropped.append(one.audience_id)
        elif one.base != (0 if current is None else current.number):
            behind.append(one.audience_id)
        else:
            done.append(one.audience_id)
    counted = set(done)
    rows = [_row(one, calculation) for one in versions if one.audience_id in counted]
    if rows:
        connection.execute(insert(audience_version), rows)
        went_well = {"problems": None, "failed_at": None, "revision": audience.c.revision + 1}
        connection.execute(update(audience).where(audience.c.id.in_(done)).values(went_well))
    return Committed(done, behind, dropped)


def note_refused(connection: Connection, refused: Mapping[int, Sequence[Problem]], *, now: datetime) -> None:
    """Write down why these could not be calculated; what is served of them stays."""
    for audience_id, problems in sorted(refused.items()):
        told = [asdict(one) for one in problems]
        connection.execute(update(audience).where(audience.c.id == audience_id).values(problems=told, failed_at=now))


def _usable() -> Any:
    columns = audience.c
    has_rule = or_(~columns.is_smart, columns.definition.is_not(None))
    return and_(columns.is_enabled, columns.deleted_at.is_(None), has_rule)


def _row(one: NewVersion, calculation: Calculation) -> dict[str, Any]:
    return {
        "audience_id": one.audience_id,
        "number": one.base + 1,
        "definition": one.definition,
        "warehouse": calculation.warehouse,
        "as_of": calculation.as_of.isoformat(),
        "computed_at": calculation.computed_at,
        "trigger": calculation.trigger,
        "operator": calculation.operator,
        "member_count": one.member_count,
        "entered_count": one.entered_count,
        "left_count": one.left_count,
        "file": one.file,
    }
