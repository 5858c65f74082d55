"""Publishing: from the checked `build/serving.duckdb` to an immutable version and the pointer that names it.

What is in the marts belongs to dbt; reading the pointer to `segment_engine.runtime.published`.
"""

import hashlib
import os
import re
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Literal

import duckdb

from pipelines.settings import PipelineSettings
from segment_engine.runtime.durable import sync
from segment_engine.runtime.folders import DataFolders
from segment_engine.runtime.published import POINTER_NAME, NothingPublishedError, Pointer, read_pointer

COPY_CHUNK_BYTES = 8 << 20
STAR_LIST = re.compile(r"\b(EXCLUDE|REPLACE|RENAME) \(")


@dataclass(frozen=True, slots=True)
class Publication:
    """The outcome of one publish step."""

    status: Literal["published", "unchanged"]
    pointer: Pointer


def publish_marts(
    settings: PipelineSettings,
    *,
    run_id: str,
    as_of: date,
    now: datetime,
    fingerprint: str,
    catalog_json: str,
    anew: bool = False,
    count_anew: bool = False,
) -> Publication:
    """Publish the built marts as a new version, unless the served version has the same content and business day.

    Content is everything a reader can see: rows, columns and their types, views, comments, and the catalogue. `now` is
    recorded as `published_at`, which retention counts from; nothing else depends on it. The served version stays
    untouched until the last rename, so a crash anywhere leaves it in place. `anew` publishes the same content too: in a
    file that grew night by night, freed blocks still hold what was there before. With `count_anew` the circuit breaker
    compares the day's later runs with this one: an operator accepted what it changed.
    """
    folders = settings.folders
    folders.published.mkdir(parents=True, exist_ok=True)
    current = current_pointer(folders)
    with duckdb.connect(str(folders.marts)) as con:
        con.execute("set TimeZone = ?", [settings.timezone])
        con.execute("set threads = ?", [settings.threads])
        row_counts, hashes = _table_facts(con)
        if (
            current
            and not anew
            and (current.content_hashes, current.as_of) == (hashes, as_of)
            and _catalog_of(folders, current) == catalog_json
        ):
            base = None if count_anew else current.breaker_base
            pointer = replace(current, fingerprint=fingerprint, breaker_base=base)
            _write_atomically(folders.published / POINTER_NAME, pointer.to_json())
            return Publication("unchanged", pointer)
        version = _next_version(folders, as_of)
        _record_publication(con, version=version, run_id=run_id, as_of=as_of, row_counts=row_counts, hashes=hashes)
        con.execute("checkpoint")
    name = f"{version}-{_token(run_id, now, hashes)}"
    file, catalog_file = f"marts-{name}.duckdb", f"catalog-{name}.json"
    sha256 = _copy_durably(folders.marts, folders.published / file)
    # Retention counts from publication; how long the copy took must not matter.
    os.utime(folders.published / file, (now.timestamp(), now.timestamp()))
    _write_atomically(folders.published / catalog_file, catalog_json)
    pointer = Pointer(
        version=version,
        file=file,
        catalog_file=catalog_file,
        run_id=run_id,
        as_of=as_of,
        published_at=now,
        row_counts=row_counts,
        content_hashes=hashes,
        sha256=sha256,
        fingerprint=fingerprint,
        # What was served before an erasure is about to be removed.
        breaker_base=None if anew or count_anew else _breaker_base(current, as_of),
    )
    _write_atomically(folders.published / POINTER_NAME, pointer.to_json())
    return Publication("published", pointer)


def _breaker_base(served: Pointer | None, as_of: date) -> str | None:
    """The file of the last version of an earlier day, or what stands for it since.

    Compared with its forerunner, each run of a day could change a little, and all of them together anything.
    """
    if served is None:
        return None
    return served.breaker_base or served.file if served.as_of == as_of else served.file


def _catalog_of(folders: DataFolders, pointer: Pointer) -> str | None:
    try:
        return (folders.published / pointer.catalog_file).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def current_pointer(folders: DataFolders) -> Pointer | None:
    """The served version's pointer, or None when nothing was ever published."""
    try:
        return read_pointer(folders)
    except NothingPublishedError:
        return None


def remove_old_versions(settings: PipelineSettings, *, now: datetime, at_once: bool = False) -> list[str]:
    """Delete all but the newest versions; never the served one, never one that was served within the grace period.

    A version is served until its successor is published. The one that the day's next run is compared with stays too.
    With `at_once` all but the served one go, since they hold somebody who was erased; a reader that has one open keeps
    it until it looks at the pointer again. Leftovers of killed publish steps go as well. Returns the names of the
    deleted files.
    """
    folders = settings.folders
    current = current_pointer(folders)
    if current is None:
        return []
    newest_first = _versions(folders)[::-1]
    deadline = now - timedelta(minutes=settings.keep_grace_minutes)
    outdated = [
        file
        for successor, file in list(pairwise(newest_first))[settings.keep_versions - 1 :]
        if datetime.fromtimestamp(successor.stat().st_mtime, settings.zone) < deadline
        and file.name != current.breaker_base
    ]
    outdated = [file for file in (newest_first if at_once else outdated) if file.name != current.file]
    for file in outdated:
        file.unlink()
        catalog = file.name.replace("marts-", "catalog-").replace(".duckdb", ".json")
        (folders.published / catalog).unlink(missing_ok=True)
    deleted = [file.name for file in outdated]
    for leftover in folders.published.glob(".*.tmp"):
        leftover.unlink()
        deleted.append(leftover.name)
    return deleted


def kept_versions(folders: DataFolders) -> list[str]:
    """The versions whose files are there, oldest first."""
    return ["-".join(file.stem.split("-")[1:3]) for file in _versions(folders)]


def _versions(folders: DataFolders) -> list[Path]:
    """The version files by the moment they were published, which is their modification time."""
    return sorted(folders.published.glob("marts-*.duckdb"), key=lambda file: (file.stat().st_mtime, file.name))


def content_facts(file: Path, *, timezone: str) -> tuple[dict[str, int], dict[str, str]]:
    """Row counts of a version's tables, and content hashes of its tables and views."""
    with duckdb.connect(str(file), read_only=True) as con:
        con.execute("set TimeZone = ?", [timezone])
        return _table_facts(con)


def _table_facts(con: duckdb.DuckDBPyConnection) -> tuple[dict[str, int], dict[str, str]]:
    """Row count of every published table, content hash of every published table and view.

    A hash is of the rows in any order, then of the definition: a masked view that changed is a change.
    """
    definitions = _definitions(con)
    tables = con.execute(
        """
        select table_schema, table_name
        from information_schema.tables
        where
            table_schema in ('marts', 'meta')
            and table_type = 'BASE TABLE'
            and table_name not in ('publication', 'table_summary', 'audience_version')
        order by all
        """
    ).fetchall()
    counts: dict[str, int] = {}
    hashes: dict[str, str] = {}
    for schema, table in tables:
        columns = con.execute(
            "select column_name from duckdb_columns() where schema_name = ? and table_name = ? order by column_index",
            [schema, table],
        ).fetchall()
        listed = ", ".join(f'"{name}"' for (name,) in columns)
        row = con.execute(f'select count(*), sum(hash({listed})) from "{schema}"."{table}"').fetchone()
        assert row is not None
        counts[f"{schema}.{table}"] = row[0]
        hashes[f"{schema}.{table}"] = f"{row[1] or 0:x}"
    for name, definition in definitions.items():
        rows = hashes.get(name)
        hashes[name] = f"{rows}-{definition}" if rows else definition
    return counts, hashes


def _definitions(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """What every published table and view is apart from its rows, as a short hash: SQL, columns, types, comments."""
    found = con.execute(
        """
        with
        relations as (
            select schema_name, table_name as name, sql, comment from duckdb_tables() where not internal
            union all
            select schema_name, view_name as name, sql, comment from duckdb_views() where not internal
        ),
        columns as (
            select
                schema_name, table_name as name,
                list((column_name, data_type, comment) order by column_index)::varchar as columns
            from duckdb_columns() where not internal group by all
        )
        select schema_name || '.' || name, sql, relations.comment, columns.columns
        from relations left join columns using (schema_name, name)
        where schema_name in ('marts', 'analyst', 'meta') and name not in ('publication', 'table_summary')
        order by all
        """
    ).fetchall()
    return {
        name: hashlib.sha256(repr((_in_order(sql), *parts)).encode()).hexdigest()[:16] for name, sql, *parts in found
    }


def _in_order(sql: str) -> str:
    """The SQL with the lists of `* EXCLUDE (…)`, `REPLACE (…)` and `RENAME (…)` sorted.

    DuckDB keeps them as sets and writes them in another order each time a file is opened.
    """
    start = STAR_LIST.search(sql)
    if start is None:
        return sql
    items, depth, quote, place = [""], 1, "", start.end()
    while place < len(sql) and depth:
        character = sql[place]
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 1 and not quote:
            items.append("")
        elif depth:
            items[-1] += character
        place += 1
    ordered = ", ".join(sorted(_in_order(item.strip()) for item in items))
    return f"{sql[: start.end()]}{ordered}){_in_order(sql[place:])}"


def _record_publication(
    con: duckdb.DuckDBPyConnection,
    *,
    version: str,
    run_id: str,
    as_of: date,
    row_counts: dict[str, int],
    hashes: dict[str, str],
) -> None:
    """Write `meta.publication` and `meta.table_summary` into the file that is about to be published."""
    con.execute("begin")
    con.execute("create schema if not exists meta")
    con.execute("create or replace table meta.publication (version varchar, as_of date, run_id varchar)")
    con.execute("comment on table meta.publication is '本文件的发布版本、业务日期与运行编号 (one row)'")
    con.execute("insert into meta.publication values (?, ?, ?)", [version, as_of, run_id])
    con.execute(
        "create or replace table meta.table_summary (table_name varchar, row_count bigint, content_hash varchar)"
    )
    con.execute("comment on table meta.table_summary is '每张表的行数与内容校验值 (one row per published table)'")
    con.executemany(
        "insert into meta.table_summary values (?, ?, ?)",
        [(name, row_counts[name], hashes[name]) for name in row_counts],
    )
    con.execute("commit")


def _next_version(folders: DataFolders, as_of: date) -> str:
    """`20261120-01`, `20261120-02`, …"""
    day = f"{as_of:%Y%m%d}"
    taken = [int(file.stem.split("-")[2]) for file in folders.published.glob(f"marts-{day}-*.duckdb")]
    current = current_pointer(folders)
    if current and current.version.startswith(f"{day}-"):
        taken.append(int(current.version.rsplit("-", 1)[1]))
    return f"{day}-{max(taken, default=0) + 1:02d}"


def _token(run_id: str, now: datetime, hashes: dict[str, str]) -> str:
    """Makes a file's name its own for ever, also where the data directory was emptied and versions count from 1 again.

    DuckDB knows open files by their path: a process that holds one would go on reading it under a name used twice.
    """
    return hashlib.sha256(repr((run_id, now.isoformat(), hashes)).encode()).hexdigest()[:8]


def _copy_durably(source: Path, target: Path) -> str:
    """Copy to a hidden name, flush to disk, rename; the sha256 of what was copied."""
    hidden = target.with_name(f".{target.name}.tmp")
    digest = hashlib.sha256()
    with source.open("rb") as reader, hidden.open("wb") as writer:
        while chunk := reader.read(COPY_CHUNK_BYTES):
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    hidden.replace(target)
    sync(target.parent)
    return digest.hexdigest()


def _write_atomically(target: Path, text: str) -> None:
    hidden = target.with_name(f".{target.name}.tmp")
    with hidden.open("w", encoding="utf-8") as writer:
        writer.write(text)
        writer.flush()
        os.fsync(writer.fileno())
    hidden.replace(target)
    sync(target.parent)
