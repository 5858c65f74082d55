"""Who is in tags and segments, as filters, lists and counts ask for it: the files that pointers name, and static rows.

What is read is kept for the process, since files never change; by whom it is asked, and whom they see, is not decided
here.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from contextlib import nullcontext
from datetime import date, datetime
from typing import Any, Final, Protocol

from sqlalchemy import Connection

from api.filters.audiences import KnownAudiences
from api.filters.evaluator import Session
from api.storage.audience_members import static_members
from api.storage.audiences import (
    StoredVersion,
    current_versions,
    disabled_audiences,
    revision_of,
    stored_rules,
    usable_audiences,
)
from api.storage.clinic_services import excluded_clinics, served_on
from api.storage.database import Database
from segment_engine.predicates import InAudience
from segment_engine.runtime.bitmaps import Bitmap, nobody
from segment_engine.runtime.folders import DataFolders
from segment_engine.runtime.memberships import Merges, carried, read_members, read_merges
from segment_engine.runtime.published import PublishedReader
from segment_engine.runtime.version import Opened, customers_of
from segment_engine.tree import AudienceKind

MEMORY: Final = 256 << 20
"""Bytes of members that are kept."""


class Whose(Protocol):
    """What must be known of an audience to find its members."""

    @property
    def id(self) -> int: ...
    @property
    def is_smart(self) -> bool: ...


class Members:
    """The members of every audience; an `AudienceDirectory`. Thread-safe."""

    def __init__(self, database: Database, reader: PublishedReader, folders: DataFolders) -> None:
        self._database = database
        self._reader = reader
        self.folder = folders.audiences
        self._kept = _Kept(MEMORY)
        self._merges: tuple[tuple[str, str], Merges] | None = None

    def known(self, connection: Connection) -> KnownAudiences:
        """Those that may be named now: enabled, and static or published."""
        usable, served = usable_audiences(connection), current_versions(connection)
        kinds = {one.id: AudienceKind(one.kind) for one in usable}
        tags, segments = (frozenset(id_ for id_, kind in kinds.items() if kind is wanted) for wanted in AudienceKind)
        return KnownAudiences(
            tags=tags,
            segments=segments,
            names={(kinds[one.id], one.id): one.name for one in usable},
            computed_at={(kinds[one], one): found.computed_at for one, found in served.items() if one in kinds},
            disabled={(AudienceKind(one.kind), one.id): one.name for one in disabled_audiences(connection)},
        )

    def rule(self, one: InAudience) -> Any | None:
        """The definition that counts of a smart one; None for a static one, or one that may not be named."""
        with self._database.read() as connection:
            rules = stored_rules(connection, [one.id])
        return rules[0].document if rules and rules[0].kind == one.kind else None

    def excluded_clinics(self, day: date) -> frozenset[str]:
        """Those that have ended or are initialising when the version of this business day is served."""
        with self._database.read() as connection:
            return excluded_clinics(connection, served_on(day))

    def members(self, one: InAudience, opened: Opened, moment: datetime | None) -> Bitmap:
        """Who is in it, or was at a moment; nobody in one that may not be named. Raises DamagedMembershipsError."""
        with self._database.read() as connection:
            usable = {found.id: found for found in usable_audiences(connection)}
        audience = usable.get(one.id)
        return nobody(opened.version.keys) if audience is None else self.of(audience, opened, moment)

    def of(
        self, audience: Whose, opened: Opened, moment: datetime | None, connection: Connection | None = None
    ) -> Bitmap:
        """Who is in an audience that may also be disabled or deleted; nobody where that was never found out.

        connection: to the store, one of its own where none is given
        """
        with self._database.read() if connection is None else nullcontext(connection) as store:
            if not audience.is_smart:
                found = self._static(store, audience.id, opened, moment)
            else:
                versions = current_versions(store, [audience.id], at=moment)
                found = self.of_version(versions[audience.id], opened) if versions else nobody(opened.version.keys)
        return found & opened.version.everyone

    def of_version(self, version: StoredVersion, opened: Opened) -> Bitmap:
        """The members of one calculation, by the keys that they have now; raises DamagedMembershipsError."""
        ids = [version.audience_id]
        then = self._kept.get(
            (version.file, version.audience_id),
            lambda: read_members(self.folder, version.file, ids)[version.audience_id],
        )
        return carried(then, self.merges(), opened.version.keys)

    def _static(self, connection: Connection, audience_id: int, opened: Opened, moment: datetime | None) -> Bitmap:
        with self._reader.cursor() as (cursor, pointer):

            def read() -> Bitmap:
                ids = static_members(connection, [audience_id], at=moment)[audience_id]
                return customers_of(cursor, opened.catalog, ids, opened.version.keys)

            if moment is not None:
                return read()
            revision = revision_of(connection, audience_id)
            return self._kept.get((pointer.file, pointer.sha256, audience_id, revision), read)

    def forget(self) -> None:
        """Keep nothing of what was read."""
        self._kept = _Kept(MEMORY)

    def keys_now(self) -> Mapping[int, int]:
        """Whose the keys of customers are who were merged away, in the version that is served."""
        merges = self.merges()
        return dict(zip(merges.old.tolist(), merges.new.tolist(), strict=True))

    def merges(self) -> Merges:
        """Who was merged into whom, in the version that is served."""
        with self._reader.cursor() as (cursor, pointer):
            key = (pointer.file, pointer.sha256)
            kept = self._merges
            if kept is None or kept[0] != key:
                kept = self._merges = key, read_merges(cursor)
            return kept[1]


def directory_of(session: Session) -> Members:
    """The one that an application of ours evaluates with."""
    directory = session.audiences
    assert isinstance(directory, Members), "tags and segments come from the store"
    return directory


class _Kept:
    """Bitmaps by what they are of; the longest unused are forgotten first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._found: OrderedDict[Hashable, Bitmap] = OrderedDict()
        self._guard = threading.Lock()

    def get(self, key: Hashable, read: Callable[[], Bitmap]) -> Bitmap:
        """What is kept, or read now and kept."""
        with self._guard:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
        found = read()
        with self._guard:
            if key not in self._found:
                self._held += found.words.nbytes
            self._found[key] = found
            while self._held > self._most:
                self._held -= self._found.popitem(last=False)[1].words.nbytes
        return found
