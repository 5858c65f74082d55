"""The night's calculation of all smart tags and segments: on the marts that are about to be published, in one pass.

What it finds is written into that file for analysts, and serves everybody else once the file is published: until then
it waits in one small file below `build/`. A night that dies in between is finished by the next.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from api.storage.audience_snapshot import Snapshot, read_versions
from api.storage.audiences import (
    Calculation,
    NewVersion,
    StoredVersion,
    current_versions,
    drop_versions,
    files_in_use,
    is_there,
)
from api.storage.calculation import FormerMembers, Inputs, Made, calculate, commit, compare_anew
from api.storage.database import Database
from pipelines.operational import operational_store
from pipelines.settings import PipelineSettings
from pipelines.warehouse.audience_inputs import taken_at, taken_audiences
from pipelines.warehouse.audience_tables import Found, write_tables
from pipelines.warehouse.connection import connect_warehouse, set_up
from segment_engine.catalog import Catalog
from segment_engine.problems import Problem
from segment_engine.runtime.bitmaps import Bitmap
from segment_engine.runtime.durable import sync
from segment_engine.runtime.engine_layout import read_layout
from segment_engine.runtime.memberships import (
    DamagedMembershipsError,
    Merges,
    read_members,
    read_merges,
    sweep_memberships,
)
from segment_engine.runtime.published import Pointer, open_version
from segment_engine.runtime.version import Opened, customers_of, end_of, open_audiences

OPERATOR = "system:nightly"
_NOBODY: Final = np.zeros(0, np.int64)
# Committing asks for none.
_NO_MERGES: Final = Merges(_NOBODY, _NOBODY)
# The seed asks for 180 days of the customer log; a year and a month let a month be compared with that of last year.
KEPT: Final = timedelta(days=400)
ORPHANED: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Report:
    """What a night calculated: memberships written, and numbers worth showing."""

    rows: int
    facts: dict[str, str | int | float]


def calculate_night(
    settings: PipelineSettings, catalog: Catalog, as_of: date, *, fingerprint: str, now: datetime
) -> Report:
    """Calculate what the night took over, write the analysts' tables, and leave the rest to `serve_night`."""
    with connect_warehouse(settings) as con:
        snapshot, members, read_at = taken_audiences(con), _static_members(con), taken_at(con)
    served, versions = _stored(settings)
    folders = settings.folders
    with duckdb.connect(str(folders.marts)) as con:
        set_up(con, settings)
        # Leaves are read side by side, each on one thread.
        con.execute("set threads = 1")
        opened = open_audiences(
            con,
            catalog,
            zone=settings.timezone,
            published_on=as_of,
            as_of=end_of(as_of, settings.zone),
            layout=read_layout(con, catalog),
            excluded_clinics=frozenset(snapshot.excluded_clinics),
        )
        static = _by_audience(members)
        found = Inputs(snapshot.rules, snapshot.usable, served, static)
        made = calculate(found, opened, con, folders.audiences, now=now, workers=settings.threads)
        con.execute("set threads = $threads", {"threads": settings.threads})
        waiting = _Waiting(fingerprint, as_of, now, read_at or now, tuple(made.versions), made.refused)
        tonight = [waiting.version(one) for one in made.versions]
        told = Found(
            snapshot.named, _members(con, snapshot, found, made, opened, folders.audiences), versions + tonight
        )
        rows = write_tables(con, told, folders.audiences, members)
    if made.versions or made.refused:
        waiting.write(_file(settings))
    else:
        # Where nobody has opened the API yet there is not even a store.
        _file(settings).unlink(missing_ok=True)
    return Report(rows, _facts(made))


def serve_night(settings: PipelineSettings, pointer: Pointer) -> dict[str, str | int | float]:
    """Serve what waits for this version, and say so; does nothing where nothing does. May be repeated."""
    waiting = _Waiting.read(_file(settings))
    if waiting is None or waiting.fingerprint != pointer.fingerprint:
        return {}
    with operational_store(settings) as store:
        # One that was put in the place of another may have no such tables.
        outcome = {} if store is None or not _has_tables(store) else _serve(settings, store, waiting, pointer)
    _file(settings).unlink()
    return {f"audiences {name}": count for name, count in outcome.items() if count}


def _serve(settings: PipelineSettings, store: Database, waiting: "_Waiting", pointer: Pointer) -> Mapping[str, int]:
    calculation = Calculation(pointer.version, waiting.as_of, waiting.now, "nightly", OPERATOR, waiting.read_at)
    outcome: Counter[str] = Counter()
    # What waited for long may have been swept.
    versions: Sequence[NewVersion] = [
        one for one in waiting.versions if (settings.folders.audiences / one.file).is_file()
    ]
    outcome["lost"] = len(waiting.versions) - len(versions)
    refused = waiting.refused
    while versions or refused:
        made = Made(versions, {}, _NO_MERGES, refused)
        committed = store.write(partial(commit, made=made, calculation=calculation))
        outcome["served"] += len(committed.done)
        outcome["not wanted any more"] += len(committed.dropped)
        # Somebody calculated these while the night ran: what it found is newer, and is compared with theirs.
        versions, refused = _compared(settings, store, versions, committed.behind, waiting.now, pointer), {}
        outcome["lost"] += len(committed.behind) - len(versions)
        if versions:
            # Written down first, so that whoever goes on after a crash commits the same once.
            replace(waiting, versions=tuple(versions), refused={}).write(_file(settings))
    return outcome


def _compared(
    settings: PipelineSettings,
    store: Database,
    versions: Sequence[NewVersion],
    behind: Collection[int],
    now: datetime,
    pointer: Pointer,
) -> Sequence[NewVersion]:
    """Those of these that are behind, compared with what is served now; without those whose file is lost."""
    members = _again(settings, versions, behind)
    if not members:
        return ()
    with store.read() as connection:
        newest = current_versions(connection, list(members))
    made = Made(versions, members, _merges(settings, pointer), {})
    return compare_anew(made, list(members), newest, settings.folders.audiences, now=now).versions


def sweep_old(settings: PipelineSettings, *, now: datetime) -> int:
    """Forget calculations that are older than KEPT, and delete files that none points to; how many files they were.

    A month of them at a time: with the last that is forgotten the analysts' tables begin anew, which is much to write.
    A file that was written within ORPHANED may be one that somebody is about to point to.
    """
    with operational_store(settings) as store:
        if store is None or not _has_tables(store):
            return 0
        month = (now - KEPT).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        store.write(partial(drop_versions, before=month))
        with store.read() as connection:
            used = files_in_use(connection)
    return len(sweep_memberships(settings.folders.audiences, used, before=now - ORPHANED))


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A calculation that counts as soon as the version with this fingerprint is served."""

    fingerprint: str
    as_of: date
    now: datetime
    read_at: datetime
    versions: tuple[NewVersion, ...]
    refused: Mapping[int, Sequence[Problem]]

    def version(self, one: NewVersion) -> StoredVersion:
        """As it will be served, if nobody comes between."""
        fields = {name: value for name, value in asdict(one).items() if name != "base"}
        return StoredVersion(
            **fields,
            number=one.base + 1,
            warehouse="",
            as_of=self.as_of,
            computed_at=self.now,
            trigger="nightly",
            operator=OPERATOR,
        )

    def write(self, file: Path) -> None:
        """Replace what waits in one move."""
        told = {
            "fingerprint": self.fingerprint,
            "as_of": self.as_of.isoformat(),
            "now": self.now.isoformat(),
            "read_at": self.read_at.isoformat(),
            "versions": [asdict(one) for one in self.versions],
            "refused": {str(one): [asdict(problem) for problem in problems] for one, problems in self.refused.items()},
        }
        hidden = file.with_suffix(".tmp")
        hidden.write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
        # Before the version is published that it waits for: a power cut takes neither.
        sync(hidden)
        hidden.replace(file)
        sync(file.parent)

    @classmethod
    def read(cls, file: Path) -> "_Waiting | None":
        """What waits; None where nothing does, or nobody can tell."""
        try:
            told = json.loads(file.read_text(encoding="utf-8"))
            return cls(
                told["fingerprint"],
                date.fromisoformat(told["as_of"]),
                datetime.fromisoformat(told["now"]),
                datetime.fromisoformat(told["read_at"]),
                tuple(NewVersion(**one) for one in told["versions"]),
                {int(one): tuple(Problem(**each) for each in problems) for one, problems in told["refused"].items()},
            )
        except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError):
            return None


def _file(settings: PipelineSettings) -> Path:
    return settings.folders.build / "audiences.json"


def _stored(settings: PipelineSettings) -> tuple[dict[int, StoredVersion], list[StoredVersion]]:
    """Versions that are served, and all that counted."""
    with operational_store(settings) as store:
        if store is None or not _has_tables(store):
            return {}, []
        with store.read() as connection:
            versions = read_versions(connection)
    # The last number of each, and not a second query: somebody might commit between the two.
    return {one.audience_id: one for one in versions}, versions


def _has_tables(store: Database) -> bool:
    with store.read() as connection:
        return is_there(connection)


def _static_members(con: duckdb.DuckDBPyConnection) -> pa.Table:
    return con.sql("select * from ingest.static_member order by id").to_arrow_table()


def _by_audience(members: pa.Table) -> dict[int, list[str]]:
    """The ids that are in each static one now."""
    inside = members.filter(pc.is_null(members["removed_at"]))
    grouped = inside.group_by("audience_id").aggregate([("one_id", "list")])
    return dict(zip(grouped["audience_id"].to_pylist(), grouped["one_id_list"].to_pylist(), strict=True))


def _members(
    con: duckdb.DuckDBPyConnection, snapshot: Snapshot, found: Inputs, made: Made, opened: Opened, folder: Path
) -> dict[int, Bitmap]:
    """Of everybody who may be asked: calculated now, or last time it went well, or put in by hand."""
    keys = opened.version.keys
    former = FormerMembers(folder, made.merges, keys)
    members: dict[int, Bitmap] = {}
    for one in snapshot.usable:
        if one.id in made.members:
            members[one.id] = made.members[one.id]
        elif not one.is_smart:
            put_in = customers_of(con, opened.catalog, found.static.get(one.id, ()), keys)
            members[one.id] = put_in & opened.version.everyone
        elif one.id in found.served:
            try:
                members[one.id] = former.now(found.served[one.id]) & opened.version.everyone
            except DamagedMembershipsError:
                continue
    return members


def _again(settings: PipelineSettings, versions: Sequence[NewVersion], behind: Collection[int]) -> dict[int, Bitmap]:
    """The members that were found of these; without those whose file is lost."""
    wanted = {one.audience_id: one.file for one in versions if one.audience_id in set(behind)}
    found: dict[int, Bitmap] = {}
    for file in sorted(set(wanted.values())):
        with suppress(DamagedMembershipsError):
            found |= read_members(settings.folders.audiences, file, [one for one, of in wanted.items() if of == file])
    return found


def _merges(settings: PipelineSettings, pointer: Pointer) -> Merges:
    """Of the version that is served: the working files may be a later night's by now."""
    with open_version(settings.folders, pointer, timezone=settings.timezone, threads=1) as con:
        return read_merges(con)


def _facts(made: Made) -> dict[str, str | int | float]:
    return {
        "calculated": len(made.versions),
        "refused": len(made.refused),
        "entered": sum(one.entered_count for one in made.versions),
        "left": sum(one.left_count for one in made.versions),
    }
