"""Reading what the pipeline published: the pointer `CURRENT` and the immutable file it names.

Writing versions and moving the pointer belongs to `pipelines.warehouse.publish`.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import duckdb

from segment_engine.runtime.folders import DataFolders

POINTER_NAME = "CURRENT"
_Key = tuple[str, str]
_T = TypeVar("_T")


class NothingPublishedError(Exception):
    """No version has been published in this data directory yet."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"nothing is published in {folder} yet: run `cdp nightly` first / 尚无已发布的数据:请先运行 cdp nightly"
        )


class DamagedPointerError(Exception):
    """`CURRENT` is there but does not say what a pointer says; somebody wrote into it, or the disk lost it."""

    def __init__(self, file: Path, reason: Exception) -> None:
        super().__init__(
            f"{file} cannot be read ({type(reason).__name__}: {reason}): delete it and run `cdp nightly --force` / "
            f"{file} 已损坏:请删除后运行 cdp nightly --force"
        )


class EarlierReleaseError(Exception):
    """An earlier release published the version, and something that is asked of it is not there yet."""

    def __init__(self) -> None:
        super().__init__(
            "an earlier release published what is served: run `cdp nightly` first / "
            "当前数据版本由旧版程序发布:请先运行 cdp nightly"
        )


@dataclass(frozen=True, slots=True)
class Pointer:
    """What `CURRENT` says: one published version.

    `published_at` is an aware datetime; `row_counts` are per `schema.table`, `content_hashes` also per `schema.view`;
    `sha256` is the file's; `fingerprint` stands for everything the version was computed from (batches, code, business
    day). `breaker_base` is the file of the version that later runs of the same business day are compared with; None is
    this one.
    """

    version: str
    file: str
    catalog_file: str
    run_id: str
    as_of: date
    published_at: datetime
    row_counts: dict[str, int]
    content_hashes: dict[str, str]
    sha256: str
    fingerprint: str
    breaker_base: str | None = None

    def to_json(self) -> str:
        fields = asdict(self) | {"as_of": self.as_of.isoformat(), "published_at": self.published_at.isoformat()}
        return json.dumps(fields, ensure_ascii=False, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        fields: dict[str, Any] = json.loads(text)
        fields["as_of"] = date.fromisoformat(fields["as_of"])
        fields["published_at"] = datetime.fromisoformat(fields["published_at"])
        return cls(**fields)


def read_pointer(folders: DataFolders) -> Pointer:
    """The pointer of the version that is served now; raises NothingPublishedError without one, DamagedPointerError."""
    file = folders.published / POINTER_NAME
    try:
        return Pointer.from_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NothingPublishedError(folders.published) from None
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedPointerError(file, error) from error


def open_version(
    folders: DataFolders, pointer: Pointer, *, timezone: str, threads: int = 2
) -> duckdb.DuckDBPyConnection:
    """A hardened read-only connection to one published version: no other file can be reached through it."""
    connection = duckdb.connect(str(folders.published / pointer.file), read_only=True, config={"threads": threads})
    connection.execute("set enable_external_access = false")
    _prepare_session(connection, timezone)
    return connection


def open_current(folders: DataFolders, *, timezone: str, threads: int = 2) -> tuple[duckdb.DuckDBPyConnection, Pointer]:
    """The served version, opened as `open_version` does, and its pointer; raises NothingPublishedError."""

    def opened(pointer: Pointer) -> tuple[duckdb.DuckDBPyConnection, Pointer]:
        return open_version(folders, pointer, timezone=timezone, threads=threads), pointer

    return _on_current(folders, opened)


def _on_current(folders: DataFolders, work: Callable[[Pointer], _T]) -> _T:
    """Do the work on the served version; once more on the next one, when its file is removed under our hands."""
    pointer = read_pointer(folders)
    try:
        return work(pointer)
    except duckdb.IOException:
        if (folders.published / pointer.file).exists():
            raise
        return work(read_pointer(folders))


def _prepare_session(connection: duckdb.DuckDBPyConnection, timezone: str) -> None:
    """Zone and search path; a cursor inherits neither from its parent.

    `analyst` comes first, so that a masked view shadows the mart of the same name.
    """
    connection.execute("set TimeZone = ?", [timezone])
    connection.execute("set search_path = 'analyst,marts,meta'")


class PublishedReader:
    """Cursors on the current version for a long-lived process; follows the pointer, lets old readers finish.

    Thread-safe. An old version is closed when its last cursor is returned. Versions are told apart by file and
    checksum: numbers start again where a data directory was emptied.
    """

    def __init__(self, folders: DataFolders, *, timezone: str, threads: int = 2) -> None:
        self._folders = folders
        self._timezone = timezone
        self._threads = threads
        self._guard = threading.Lock()
        self._open: dict[_Key, tuple[duckdb.DuckDBPyConnection, int]] = {}
        self._current: _Key | None = None

    @contextmanager
    def cursor(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, Pointer]]:
        """A cursor on the version that is current at entry, and its pointer; raises NothingPublishedError."""
        with self._guard:
            pointer = _on_current(self._folders, self._switch)
            key = _key(pointer)
            connection, users = self._open[key]
            self._open[key] = (connection, users + 1)
            cursor = connection.cursor()
            _prepare_session(cursor, self._timezone)
        try:
            yield cursor, pointer
        finally:
            cursor.close()
            with self._guard:
                connection, users = self._open[key]
                self._open[key] = (connection, users - 1)
                self._close_unused()

    def close(self) -> None:
        """Close what nobody uses any more; cursors still out keep their version until they are returned."""
        with self._guard:
            self._current = None
            self._close_unused()

    def _switch(self, pointer: Pointer) -> Pointer:
        key = self._current = _key(pointer)
        # Before the next is opened: DuckDB would hand out the old file again where both have one path.
        self._close_unused()
        if key not in self._open:
            connection = open_version(self._folders, pointer, timezone=self._timezone, threads=self._threads)
            self._open[key] = (connection, 0)
        return pointer

    def _close_unused(self) -> None:
        for key, (connection, users) in list(self._open.items()):
            if users == 0 and key != self._current:
                connection.close()
                del self._open[key]


def _key(pointer: Pointer) -> _Key:
    return pointer.file, pointer.sha256
