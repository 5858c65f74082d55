"""A customer's timeline (客户动态): everything of every kind and clinic, newest first, page by page."""

import hashlib
from collections.abc import Sequence
from datetime import date
from typing import Any

import duckdb

from api.customer360.activity import activity_sql
from api.customer360.choices import chosen
from api.customer360.kind import FactColumn, Kind
from api.customer360.kinds import ALL
from api.customer360.names import Names, names_of
from api.customer360.paging import Cut
from api.customer360.person import Person, find_person
from api.customer360.timeline_schemas import (
    Activity,
    ActivityKind,
    ActivityKinds,
    Fact,
    SourceRow,
    Timeline,
    TimelineQuery,
)
from api.customers.rows import Row, Spot, by_source, newest, rows_at
from api.customers.sight import Sight
from api.keyset import Place
from segment_engine.runtime.published import PublishedReader

Found = tuple[Place, tuple[Kind, Spot, Row]]


def activity_kinds() -> ActivityKinds:
    """What a timeline may be filtered by."""
    return ActivityKinds(
        kinds=[
            ActivityKind(kind=kind.name, label_zh=kind.label_zh, label_en=kind.label_en, side=kind.side) for kind in ALL
        ]
    )


def customer_timeline(reader: PublishedReader, sight: Sight, one_id: str, query: TimelineQuery) -> Timeline:
    """One page; raises NotFoundError, InvalidError. What is later than the business day is not there yet."""
    after = None if query.cursor is None else Place.decode(query.cursor)
    kinds = _asked(query)
    with reader.cursor() as (cursor, pointer):
        person = find_person(cursor, sight, one_id)
        values = {
            "customer_key": person.key,
            "first_day": query.first_day or date.min,
            "last_day": min(query.last_day or pointer.as_of, pointer.as_of),
        }
        moment = None if after is None else after.created_at
        limit = query.limit + 1
        spots = newest(cursor, activity_sql(kinds), values, after=moment, limit=limit) if kinds else []
        cut = Cut(_found(cursor, kinds, spots), after=after, limit=query.limit)
        names = _names(cursor, person, cut.rows)
    return Timeline(
        version=pointer.version,
        as_of=pointer.as_of,
        one_id=person.one_id,
        activities=[_activity(*one, person, names) for one in cut.rows],
        next_cursor=cut.next_cursor,
    )


def _asked(query: TimelineQuery) -> list[Kind]:
    names, sides = chosen(query.kind), chosen(query.side)
    return [
        kind for kind in ALL if (names is None or kind.name in names) and (sides is None or kind.side.value in sides)
    ]


def _found(cursor: duckdb.DuckDBPyConnection, kinds: Sequence[Kind], spots: Sequence[Spot]) -> list[Found]:
    """The rows at these spots, each with its place in the timeline."""
    found: list[Found] = []
    for number, of_kind in by_source(spots).items():
        kind = kinds[number]
        rows = rows_at(cursor, kind.table, _columns(kind), [spot.row_id for spot in of_kind])
        found += [(_place(kind, spot, rows[spot.row_id]), (kind, spot, rows[spot.row_id])) for spot in of_kind]
    return found


def _columns(kind: Kind) -> list[str]:
    named = (kind.title, kind.clinic, kind.staff)
    return [*kind.key, *(name for name in named if name is not None), *(fact.column for fact in kind.facts)]


def _key(kind: Kind, row: Row) -> str:
    return ":".join(str(row[column]) for column in kind.key)


def _place(kind: Kind, spot: Spot, row: Row) -> Place:
    """Entries of one moment stand in the order of kinds and of a digest: a cursor must tell nobody's id."""
    digest = hashlib.sha256(_key(kind, row).encode()).hexdigest()[:16]
    return Place(spot.moment, f"{kind.name}:{digest}")


def _names(cursor: duckdb.DuckDBPyConnection, person: Person, rows: Sequence[tuple[Kind, Spot, Row]]) -> Names:
    mentioned: dict[str, set[Any]] = {"clinics": set(), "staff": set(), "wecom": set()}
    for kind, _, row in rows:
        if kind.clinic is not None:
            mentioned["clinics"].add(row[kind.clinic])
        if kind.staff is not None:
            mentioned["wecom" if kind.is_wecom_staff else "staff"].add(row[kind.staff])
    return names_of(cursor, person, **mentioned)


def _activity(kind: Kind, spot: Spot, row: Row, person: Person, names: Names) -> Activity:
    clinic_id = None if kind.clinic is None else row[kind.clinic]
    staff = None if kind.staff is None else row[kind.staff]
    hides_key = kind.is_personal_key and not person.sees_phones
    return Activity(
        at=spot.moment,
        kind=kind.name,
        label_zh=kind.label_zh,
        label_en=kind.label_en,
        side=kind.side,
        title=None if kind.title is None else row[kind.title],
        clinic_id=clinic_id,
        clinic_name=names.clinic(clinic_id),
        staff_name=names.wecom_employee(staff) if kind.is_wecom_staff else names.employee(staff),
        facts=[_fact(fact, row[fact.column], person) for fact in kind.facts],
        source=SourceRow(table=kind.table, key=None if hides_key else _key(kind, row)),
    )


def _fact(fact: FactColumn, value: Any, person: Person) -> Fact:
    is_hidden = fact.is_free_text and not person.sees_free_text
    return Fact(
        name=fact.column,
        label_zh=fact.label_zh,
        label_en=fact.label_en,
        type=fact.type,
        value=None if is_hidden else value,
        is_hidden=is_hidden,
    )
