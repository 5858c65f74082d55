"""`cdp identity resolve`: one night over files, with a state file of its own and files as its answer.

The night itself is `resolve.py`; reading files is `given.py`. What is left behind when a run is killed anywhere is
mended by running the night again: the state changes in one transaction, and the outputs are written from it.
"""

import json
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import duckdb
import yaml

from pipelines.identity import given
from pipelines.identity.forms import EVIDENCE, IDENTITIES, OVERRIDES
from pipelines.identity.model import IdentityConfig, IdentityError, IdentityInputError, NightSummary
from pipelines.identity.refusals import InvalidFilesError, Problem
from pipelines.identity.resolve import resolve_night
from pipelines.identity.state import last_night

STATE_FILE: Final = "state.duckdb"
_SCHEMA: Final = "identity"
_STAGING: Final = ".writing"
_THRESHOLDS: Final = ("hub_persons", "hub_unions", "hub_records", "customer_unions", "customer_records")
_LARGEST_THRESHOLD: Final = 1_000_000_000
_OUTPUTS: Final = {
    "assignment": "select key, one_id, customer_key, present from identity.assignment",
    "events": "select event, key, from_id, to_id from identity.event where night = date '{night}' order by seq",
    "value_states": "select value_type, value, state from identity.value_state",
    "conflicts": "select * from identity.conflict",
}


@dataclass(frozen=True, slots=True)
class FilesOrder:
    """What to resolve, and where: files that are read, the folder of the state, the folder of the answers."""

    identities: Path
    evidence: Path
    state: Path
    out: Path
    night: date
    overrides: Path | None = None
    config: Path | None = None
    limits: bool = True


@dataclass(frozen=True, slots=True)
class Machine:
    """What DuckDB may use, and the zone in which moments without an offset are read."""

    timezone: str
    threads: int
    memory_limit: str


class StateBusyError(Exception):
    """Another run holds the state file."""


def resolve_files(order: FilesOrder, machine: Machine) -> dict[str, Any]:
    """Resolve one night and replace the outputs; the answer is what `summary.json` says.

    out: assignment, events, value_states and conflicts as Parquet, then summary.json, each replaced whole. Nothing is
         replaced before the night is in the state; an output that a killed run did not reach is written by the next.
    Raises InvalidFilesError with every problem, StateBusyError, and OSError or duckdb.Error when disk or memory fail.
    """
    start = perf_counter()
    config, problems = read_config(order.config, limits=order.limits)
    problems += [
        Problem("folder_not_writable", name, f"无法写入文件夹 {folder}", f"the folder {folder} cannot be written")
        for name, folder in (("state", order.state), ("out", order.out))
        if not _is_writable(folder)
    ]
    with closing(_open(order, machine, problems)) as con:
        summary = _resolve(con, order, config, problems)
        with _staged(order.out) as folder:
            _write(con, order.night, folder)
            told = {
                "night": order.night.isoformat(),
                "identities": summary.identities,
                "customers": summary.customers,
                "largest": summary.largest,
                "conflicts": summary.conflicts,
                "events": dict(summary.events),
                "seconds": round(perf_counter() - start, 3),
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
            (folder / "summary.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return told


def read_config(file: Path | None, *, limits: bool) -> tuple[IdentityConfig, list[Problem]]:
    """The thresholds of a YAML file; those it does not name keep their defaults."""
    config = IdentityConfig(limits=limits)
    if file is None:
        return config, []
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError:
        return config, [Problem("missing_file", "config", f"无法读取文件 {file}", f"the file {file} cannot be read")]
    except (yaml.YAMLError, ValueError):  # (a date that does not exist is a ValueError)
        return config, [Problem("unreadable", "config", f"{file} 不是 YAML", f"{file} is no YAML")]
    if not isinstance(document, dict | None):
        zh, en = "应为“名称: 数值”的列表", "must map names to numbers"
        return config, [Problem("wrong_value", "config", zh, en)]
    values = document or {}
    known = ", ".join(_THRESHOLDS)
    problems = [
        Problem("unknown_config", f"config/{name}", f"未知的配置项,可用:{known}", f"there is no such key, only {known}")
        for name in values
        if name not in _THRESHOLDS
    ]
    problems += [
        Problem(
            "wrong_value",
            f"config/{name}",
            f"应为 1 至 {_LARGEST_THRESHOLD} 的整数",
            f"must be a whole number from 1 to {_LARGEST_THRESHOLD}",
        )
        for name, value in values.items()
        if name in _THRESHOLDS and not (type(value) is int and 1 <= value <= _LARGEST_THRESHOLD)
    ]
    return (config, problems) if problems else (replace(config, **values), [])


def _resolve(
    con: duckdb.DuckDBPyConnection, order: FilesOrder, config: IdentityConfig, problems: list[Problem]
) -> NightSummary:
    """Run the night, or raise InvalidFilesError with everything that is wrong."""
    identities = given.store(con, given.look_at(con, IDENTITIES, order.identities))
    evidence = given.store(con, given.look_at(con, EVIDENCE, order.evidence))
    problems += [*identities.problems, *evidence.problems]
    # Plain components know no operator rows, so nobody looks at them.
    overrides = None
    if order.overrides is not None and order.limits:
        overrides = given.store(con, given.look_at(con, OVERRIDES, order.overrides))
        problems += [*overrides.problems, *given.repeated_ids(con, overrides)]
        problems += given.contradictions(con, overrides, night=order.night)
    last = last_night(con, _SCHEMA)
    if last is not None and order.night < last:
        zh, en = f"{order.night} 早于已处理的最后一晚 {last}", f"{order.night} is earlier than the last night, {last}"
        problems.append(Problem("night_is_over", "night", zh, en))
    if not problems:
        con.execute("create or replace temp table given_blocked (value_type varchar, value varchar)")
        try:
            return resolve_night(
                con,
                night=order.night,
                config=config,
                identities=identities.relation,
                evidence=evidence.relation,
                blocked="given_blocked",
                overrides=None if overrides is None else overrides.relation,
                state_schema=_SCHEMA,
            )
        except IdentityInputError:
            pass  # (only for keys, and what is wrong with them is told below, with every row)
        except IdentityError as error:
            problems.append(Problem(error.code, "night", error.message_zh, error.message_en))
    con.execute("set preserve_insertion_order = true")
    raise InvalidFilesError([*problems, *given.key_problems(con, identities, evidence)])


def _open(order: FilesOrder, machine: Machine, problems: list[Problem]) -> duckdb.DuckDBPyConnection:
    """Open the state; when it cannot be used, a place in memory in which the files can still be looked at."""
    file = order.state / STATE_FILE
    # What is refused anyway shall not leave a new state behind, but is told when it is too late for it.
    use_state = not problems or (file.exists() and all(problem.path != "state" for problem in problems))
    try:
        if use_state:
            file.parent.mkdir(parents=True, exist_ok=True)
        con = duckdb.connect(str(file) if use_state else ":memory:")
    except duckdb.Error as error:
        if "Could not set lock" in str(error):
            raise StateBusyError(f"{file} is in use by another run / 正被另一次运行使用") from None
        zh, en = f"{file} 不是可用的状态文件", f"{file} is no state that can be used"
        problems.append(Problem("state_unreadable", "state", zh, en))
        con = duckdb.connect()
    con.execute("set TimeZone = $zone", {"zone": machine.timezone})
    con.execute("set threads = $threads", {"threads": machine.threads})
    con.execute("set memory_limit = $limit", {"limit": machine.memory_limit})
    con.execute("set preserve_insertion_order = false")
    given.add_functions(con)
    return con


def _is_writable(folder: Path) -> bool:
    """Whether the folder, or the nearest one above it that exists, may be written."""
    nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def _write(con: duckdb.DuckDBPyConnection, night: date, folder: Path) -> None:
    con.execute("set preserve_insertion_order = true")
    for name, query in _OUTPUTS.items():
        path = str(folder / f"{name}.parquet").replace("'", "''")
        con.execute(f"copy ({query.format(night=night)}) to '{path}' (format parquet)")


@contextmanager
def _staged(out: Path) -> Iterator[Path]:
    """A folder for files that, when all are written, replace those of their names in `out`, the summary last."""
    staging = out / _STAGING
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        yield staging
        written = sorted(staging.iterdir(), key=lambda file: (file.suffix == ".json", file.name))
        for file in written:
            with file.open("rb") as flushed:
                os.fsync(flushed.fileno())
        for file in written:
            file.replace(out / file.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
