"""The customer log (客户日志): who entered or left which tag or segment, newest first, from where each change is kept.

What a person did by hand stands in rows of the store. What a calculation changed stands in its file; of few customers
it is read from the published table of changes, as far as that goes. Cutting to what a caller sees is done here, showing
customers is not.
"""

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
from sqlalchemy import Connection, RowMapping, and_, literal, select, tuple_, union_all

from api.audiences.cursor import moment_of, number_of
from api.storage.audiences import StoredVersion, version_of
from api.storage.tables.audiences import audience_member, audience_version
from segment_engine.runtime.bitmaps import Bitmap
from segment_engine.runtime.memberships import DamagedMembershipsError, Difference, read_differences

_VERSIONS: Final = 300
_ROWS: Final = 500
_LISTED: Final = 400
"""So many pairs are named in a statement; more are picked from what it answers."""


class Change(StrEnum):
    """What happened (变动类型)."""

    ENTERED = "entered"
    LEFT = "left"


class Trigger(StrEnum):
    """What made it happen (触发方式): a calculation, or somebody's hand."""

    NIGHTLY = "nightly"
    MANUAL = "manual"
    DEFINITION = "definition"
    STAFF = "staff"
    BULK = "bulk"
    FILTER = "filter"
    IMPORT = "import"
    SYNC = "sync"


OF_CALCULATIONS: Final = frozenset({Trigger.NIGHTLY, Trigger.MANUAL, Trigger.DEFINITION})

Place = tuple[int, int, int, int, int, int]
"""Where an event stands, ascending: the newest first, then a place of its own among those of one moment."""


@dataclass(frozen=True, slots=True)
class Event:
    """A customer entered or left; is_merge: since two customers became one; definition: of a smart one."""

    place: Place
    at: datetime
    audience_id: int
    change: Change
    customer_key: int
    trigger: Trigger
    operator: str
    is_merge: bool = False
    definition: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Which events; None is no restriction, `since` is included and `until` is not.

    among: the customers whom the caller sees and asked for; few: the keys of them where they are few
    """

    audience_ids: Sequence[int]
    since: datetime
    until: datetime | None = None
    change: Change | None = None
    triggers: frozenset[Trigger] | None = None
    operators: frozenset[str] | None = None
    among: Bitmap | None = None
    few: Sequence[int] | None = None
    after: Place | None = None

    def wants(self, trigger: str) -> bool:
        return self.triggers is None or trigger in self.triggers

    def keeps(self, event: Event) -> bool:
        """Whether the event is one of those, and behind the page before."""
        return (
            (self.change is None or event.change is self.change)
            and (self.among is None or event.customer_key in self.among)
            and (self.after is None or event.place > self.after)
        )


@dataclass(frozen=True, slots=True)
class Sources:
    """From where events are read: the store, a cursor on the published version, the folder of membership files.

    now: whose the keys of customers are who were merged away
    """

    store: Connection
    cursor: duckdb.DuckDBPyConnection
    folder: Path
    now: Mapping[int, int]


def events(asked: Asked, sources: Sources) -> Iterator[Event]:
    """The events, newest first; read as far as they are taken."""
    last: Place | None = None
    for event in heapq.merge(_calculated(asked, sources), _by_hand(asked, sources), key=lambda event: event.place):
        # What is written while portions are read moves those behind it: some rows are read once more.
        if last is None or event.place > last:
            last = event.place
            yield event


def _calculated(asked: Asked, sources: Sources) -> Iterator[Event]:
    few = None if asked.few is None else {*asked.few, *(old for old, new in sources.now.items() if new in asked.few)}
    published = None if few is None else _published(few, sources.cursor)
    only = None if published is None else _worth_reading(asked, sources.store, published)
    told: dict[str, Mapping[int, Difference]] = {}

    def difference(version: StoredVersion, ids: Sequence[int]) -> Difference | None:
        if published is not None and (found := published.of(version.file, version.audience_id)) is not None:
            return found
        if version.file not in told:
            told.clear()  # versions come by their moment: nobody asks for the file before again
            told[version.file] = _read(sources.folder, version.file, ids)
        return told[version.file].get(version.audience_id)

    versions = _versions(asked, sources.store, only)
    for _, group in groupby(versions, key=lambda one: (one.computed_at, one.file)):
        of_file = list(group)
        for version in of_file:
            found = difference(version, [one.audience_id for one in of_file])
            if found is not None:
                yield from _of_version(asked, version, _only(found, few), sources.now)


def _of_version(asked: Asked, version: StoredVersion, found: Difference, now: Mapping[int, int]) -> Iterator[Event]:
    merged = frozenset(found.merged.tolist())
    for rank, (change, keys) in enumerate(((Change.ENTERED, found.entered), (Change.LEFT, found.left))):
        if asked.change in (None, change):
            for key in keys.tolist():
                event = Event(
                    place=(-number_of(version.computed_at), 0, version.audience_id, -version.number, rank, key),
                    at=version.computed_at,
                    audience_id=version.audience_id,
                    change=change,
                    customer_key=now.get(key, key),
                    trigger=Trigger(version.trigger),
                    operator=version.operator,
                    is_merge=key in merged,
                    definition=version.definition,
                )
                if asked.keeps(event):
                    yield event


def _only(found: Difference, few: Collection[int] | None) -> Difference:
    if few is None:
        return found
    wanted = np.array(sorted(few), np.int64)
    return Difference(*(keys[np.isin(keys, wanted)] for keys in (found.entered, found.left, found.merged)))


def _worth_reading(asked: Asked, store: Connection, published: "_Published") -> list[tuple[int, int]]:
    """The calculations that changed one of a few customers, or of which the published version does not know."""
    columns = audience_version.c
    query = select(columns.audience_id, columns.number, columns.file).where(
        columns.audience_id.in_(asked.audience_ids), columns.entered_count + columns.left_count > 0
    )
    return [
        (row.audience_id, row.number)
        for row in store.execute(query)
        if published.of(row.file, row.audience_id) is not _NOTHING
    ]


def _versions(asked: Asked, store: Connection, only: Collection[tuple[int, int]] | None) -> Iterator[StoredVersion]:
    """Calculations that changed something, newest first, a portion at a time; only: by audience and number."""
    columns = audience_version.c
    if only is not None and not only:
        return
    wanted = [
        columns.audience_id.in_(asked.audience_ids),
        columns.computed_at >= asked.since,
        columns.entered_count + columns.left_count > 0,
    ]
    if asked.triggers is not None:
        wanted.append(columns.trigger.in_([str(one) for one in asked.triggers]))
    if asked.operators is not None:
        wanted.append(columns.operator.in_(asked.operators))
    if asked.until is not None:
        wanted.append(columns.computed_at < asked.until)
    if asked.after is not None:
        wanted.append(columns.computed_at <= moment_of(-asked.after[0]))
    if only is not None and len(only) <= _LISTED:
        wanted.append(tuple_(columns.audience_id, columns.number).in_(list(only)))
    named = None if only is None else frozenset(only)
    query = (
        select(audience_version)
        .where(*wanted)
        .order_by(columns.computed_at.desc(), columns.audience_id, columns.number.desc())
    )
    for rows in _portions(store, query, _VERSIONS):
        yield from (version_of(row) for row in rows if named is None or (row["audience_id"], row["number"]) in named)


def _by_hand(asked: Asked, sources: Sources) -> Iterator[Event]:
    if asked.triggers is not None and asked.triggers <= OF_CALCULATIONS:
        return
    for rows in _portions(sources.store, _rows_by_hand(asked), _ROWS):
        keys = _keys_now(sources.cursor, [row["one_id"] for row in rows])
        for row in rows:
            key = keys.get(row["one_id"])
            if key is None:
                continue  # erased, or not published yet
            rank = 0 if row["change"] == Change.ENTERED else 1
            event = Event(
                place=(-number_of(row["at"]), 1, -row["id"], rank, 0, 0),
                at=row["at"],
                audience_id=row["audience_id"],
                change=Change(row["change"]),
                customer_key=key,
                trigger=Trigger(row["how"]),
                operator=row["by"],
            )
            if asked.keeps(event):
                yield event


def _rows_by_hand(asked: Asked) -> Any:
    columns = audience_member.c
    sides = []
    for change, at, by, how in (
        (Change.ENTERED, columns.added_at, columns.added_by, columns.added_how),
        (Change.LEFT, columns.removed_at, columns.removed_by, columns.removed_how),
    ):
        wanted = [columns.audience_id.in_(asked.audience_ids), at >= asked.since]
        if asked.until is not None:
            wanted.append(at < asked.until)
        if asked.after is not None:
            wanted.append(at <= moment_of(-asked.after[0]))
        if asked.operators is not None:
            wanted.append(by.in_(asked.operators))
        if asked.triggers is not None:
            wanted.append(how.in_([str(one) for one in asked.triggers]))
        sides.append(
            select(
                columns.id,
                columns.audience_id,
                columns.one_id,
                at.label("at"),
                by.label("by"),
                how.label("how"),
                literal(str(change)).label("change"),
            ).where(and_(*wanted))
        )
    both = union_all(*sides).subquery()
    # Of one moment an entry comes before the leaving that undid it, as everywhere.
    return select(both).order_by(both.c.at.desc(), both.c.id.desc(), both.c.change)


def _portions(store: Connection, query: Any, size: int) -> Iterator[Sequence[RowMapping]]:
    """A query's rows so many at a time: most callers stop after the first."""
    offset = 0
    while rows := store.execute(query.limit(size).offset(offset)).mappings().all():
        yield rows
        if len(rows) < size:
            return
        offset += size


def _keys_now(cursor: duckdb.DuckDBPyConnection, one_ids: Sequence[str]) -> dict[str, int]:
    text = (
        "select one_id, customer_key from marts.dim_customer where one_id in (select unnest($ids::varchar[])) "
        "union all "
        "select old_one_id, customer_key from marts.one_id_alias where old_one_id in (select unnest($ids::varchar[]))"
    )
    return dict(cursor.execute(text, {"ids": sorted(set(one_ids))}).fetchall())


def _read(folder: Path, file: str, ids: Sequence[int]) -> Mapping[int, Difference]:
    try:
        return read_differences(folder, file, ids)
    except DamagedMembershipsError:
        return {}  # a gap; what is served says so itself


@dataclass(frozen=True, slots=True)
class _Published:
    """What calculations changed of a few customers, as the published version tells it; files: those that it knows."""

    files: frozenset[tuple[str, int]]
    found: Mapping[tuple[str, int], Difference]

    def of(self, file: str, audience_id: int) -> Difference | None:
        """What a calculation changed of them; None where the published version does not know it."""
        key = file, audience_id
        return self.found.get(key, _NOTHING) if key in self.files else None


_NOTHING: Final = Difference(*(np.zeros(0, np.int64) for _ in range(3)))


def _published(few: Collection[int], cursor: duckdb.DuckDBPyConnection) -> _Published:
    # The oldest that is kept tells whoever was in, not what it changed: that stands in its file.
    files = cursor.execute(
        "select file, audience_id from marts.audience_version "
        "qualify version = 1 or version > min(version) over (partition by audience_id)"
    ).fetchall()
    rows = cursor.execute(
        """
        select file, audience_id, has_entered, is_merge, customer_key
        from marts.smart_audience_change inner join marts.audience_version using (audience_id, version)
        where list_contains($few::integer[], customer_key)
        order by all
        """,
        {"few": list(few)},
    ).fetchall()
    lists: dict[tuple[str, int], tuple[list[int], list[int], list[int]]] = {}
    for file, audience_id, has_entered, is_merge, key in rows:
        entered, left, merged = lists.setdefault((file, audience_id), ([], [], []))
        (entered if has_entered else left).append(key)
        if is_merge:
            merged.append(key)
    found = {of: Difference(*(np.array(one, np.int64) for one in three)) for of, three in lists.items()}
    return _Published(frozenset((file, audience_id) for file, audience_id in files), found)
