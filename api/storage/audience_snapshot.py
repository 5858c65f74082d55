"""Everything that a night must know of tags and segments, as of one moment of the store."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection, select

from api.storage.audiences import (
    StoredAudience,
    StoredRule,
    StoredVersion,
    is_there,
    stored_rules,
    usable_audiences,
    version_of,
)
from api.storage.clinic_services import excluded_clinics, served_on
from api.storage.tables.audiences import audience, audience_member, audience_version, tag_group

MEMBER_COLUMNS: Final = ("id", "audience_id", "one_id", "added_at", "added_how", "removed_at", "removed_how")
_CHUNK: Final = 50_000


@dataclass(frozen=True, slots=True)
class NamedAudience:
    """A tag or segment as analysts know it, deleted ones included: their history stays readable."""

    id: int
    kind: str
    is_smart: bool
    group_name: str | None
    name: str
    is_enabled: bool
    is_deleted: bool
    revision: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What there is to calculate and to tell; excluded_clinics: of the day, sorted."""

    rules: Sequence[StoredRule]
    usable: Sequence[StoredAudience]
    named: Sequence[NamedAudience]
    excluded_clinics: Sequence[str]


def read_snapshot(connection: Connection, day: date) -> Snapshot:
    """One moment of the store, for a business day; empty where it has no such tables yet.

    To be called first in a transaction: all that is read in it, members too, is to be of one moment.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("set transaction isolation level repeatable read")
    excluded = sorted(excluded_clinics(connection, served_on(day)))
    if not is_there(connection):
        return Snapshot((), (), (), excluded)
    return Snapshot(stored_rules(connection), usable_audiences(connection), _named(connection), excluded)


def read_versions(connection: Connection) -> list[StoredVersion]:
    """Every calculation that counted and is kept, by audience and number."""
    columns = audience_version.c
    query = select(audience_version).order_by(columns.audience_id, columns.number)
    return [version_of(row) for row in connection.execute(query).mappings()]


def read_member_rows(connection: Connection) -> Iterator[Mapping[str, list[Any]]]:
    """Every time that somebody was put into a static one, ended or not: columns of a chunk at a time.

    Moments are as the driver tells them, text or datetime: millions of rows go through here.
    """
    if not is_there(connection):
        return
    listed = ", ".join(MEMBER_COLUMNS)
    statement = f"select {listed} from {audience_member.name} order by id"
    result = connection.execution_options(stream_results=True).exec_driver_sql(statement)
    for rows in result.partitions(_CHUNK):
        yield dict(zip(MEMBER_COLUMNS, map(list, zip(*rows, strict=True)), strict=True))


def _named(connection: Connection) -> list[NamedAudience]:
    columns = audience.c
    query = (
        select(
            columns.id,
            columns.kind,
            columns.is_smart,
            tag_group.c.name.label("group_name"),
            columns.name,
            columns.is_enabled,
            columns.deleted_at.is_not(None).label("is_deleted"),
            columns.revision,
        )
        .outerjoin(tag_group, columns.group_id == tag_group.c.id)
        .order_by(columns.id)
    )
    return [
        NamedAudience(**{**row, "is_deleted": bool(row["is_deleted"])}) for row in connection.execute(query).mappings()
    ]
