"""One night from landing to published, in one process and without a daemon: the order of the steps and its record.

What a step does lives in `pipelines.steps`; how a terminal shows progress in `pipelines.cli`.
"""

import json
import os
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import TypeAdapter

from pipelines import steps
from pipelines.breaker import accepted_checks
from pipelines.clock import Clock
from pipelines.settings import PipelineSettings
from pipelines.steps import StepReport
from pipelines.telling import told
from pipelines.warehouse.dbt import DbtSession
from pipelines.warehouse.load import BatchResult
from pipelines.warehouse.lock import writer_lock
from pipelines.warehouse.publish import Publication, current_pointer
from segment_engine.runtime.folders import DataFolders

STEP_NAMES = ("erase", "ingest", "prepare identity", "identity", "marts and checks", "engine", "audiences", "publish")
Status = Literal["running", "succeeded", "unchanged", "failed"]


class Progress(Protocol):
    """Who wants to know how a night is going."""

    def step_started(self, name: str) -> None: ...
    def step_moved(self, name: str, message: str) -> None: ...
    def step_finished(self, name: str, seconds: float, report: StepReport) -> None: ...


class Silent:
    """Nobody is watching."""

    def step_started(self, name: str) -> None:
        """Say nothing."""

    def step_moved(self, name: str, message: str) -> None:
        """Say nothing."""

    def step_finished(self, name: str, seconds: float, report: StepReport) -> None:
        """Say nothing."""


@dataclass(slots=True)
class RunRecord:
    """One run as `data/runs/<run_id>.json` keeps it; moments are ISO 8601 with offset.

    A step has name and seconds, and in a run of `cdp nightly` rows and facts; Dagster keeps those itself. `accepted`
    names the checks that an operator let pass.
    """

    run_id: str
    as_of: str
    started_at: str
    pid: int
    status: Status = "running"
    finished_at: str | None = None
    version: str | None = None
    peak_memory_mib: int = 0
    steps: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None
    accepted: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float | None:
        """From start to end; None while it runs."""
        if self.finished_at is None:
            return None
        return (datetime.fromisoformat(self.finished_at) - datetime.fromisoformat(self.started_at)).total_seconds()

    def write(self, folders: DataFolders) -> None:
        """Replace the record on disk in one move."""
        folders.runs.mkdir(parents=True, exist_ok=True)
        target = folders.runs / f"{self.run_id}.json"
        hidden = target.with_suffix(".tmp")
        hidden.write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1), encoding="utf-8")
        hidden.replace(target)


@dataclass(frozen=True, slots=True)
class RunTimes:
    """When a run that somebody else conducted began and ended, and the seconds of its steps in order."""

    started: datetime
    finished: datetime
    steps: Sequence[tuple[str, float]]


def run_files(folders: DataFolders, *, newest: int = 10) -> list[Path]:
    """The files of the newest run records, newest first."""
    return sorted(folders.runs.glob("*.json"), reverse=True)[:newest]


def read_run(file: Path) -> RunRecord:
    """One run record; keys that only a later release knows are left out. Raises ValueError when it is none."""
    record = TypeAdapter(RunRecord).validate_json(file.read_bytes())
    record.seconds  # noqa: B018  (reads its moments)
    return record


def read_runs(folders: DataFolders, *, newest: int = 10) -> list[RunRecord]:
    """The newest run records, newest first."""
    return [read_run(file) for file in run_files(folders, newest=newest)]


def run_night(
    settings: PipelineSettings,
    *,
    as_of: date,
    clock: Clock,
    progress: Progress | None = None,
    force: bool = False,
    accept: Sequence[str] = (),
) -> RunRecord:
    """Run every step for the business day `as_of` and return the record; re-raises what made a step fail.

    When nothing new arrived since the served version (same batches, code and day) the night ends after ingest with
    status `unchanged`, unless `force`. The checks named in `accept` warn in this night instead of stopping it. Raises
    UnknownCheckError for a name that may not be accepted, WarehouseBusy when another process writes, BusinessDayError
    before any work for a day that has not begun in the tenant's zone or lies before the last night.
    """
    accepted = accepted_checks(accept)
    progress = progress or Silent()
    started = clock.now().astimezone(settings.zone)
    record = RunRecord(
        run_id=f"{started:%Y%m%dT%H%M%S%f}"[:-3],
        as_of=as_of.isoformat(),
        started_at=started.isoformat(),
        pid=os.getpid(),
        accepted=list(accepted),
    )
    with writer_lock(settings.folders, wait_seconds=settings.lock_wait_seconds, owner=f"cdp nightly {as_of}"):
        record.write(settings.folders)
        try:
            steps.check_business_day(settings, as_of, today=started.date())
            with DbtSession(settings, as_of, accepted=accepted) as dbt:
                _run_steps(settings, as_of, clock, record, progress, force, dbt)
        except BaseException as error:
            record.status = "failed"
            record.error = told(error)
            raise
        finally:
            record.finished_at = clock.now().astimezone(settings.zone).isoformat()
            record.peak_memory_mib = _peak_memory_mib()
            record.write(settings.folders)
    return record


def _run_steps(
    settings: PipelineSettings,
    as_of: date,
    clock: Clock,
    record: RunRecord,
    progress: Progress,
    force: bool,
    dbt: DbtSession,
) -> None:
    def step(name: str, work: Callable[[], StepReport]) -> StepReport:
        progress.step_started(name)
        began = time.perf_counter()
        report = work()
        seconds = time.perf_counter() - began
        record.steps.append({"name": name, "seconds": round(seconds, 3), "rows": report.rows, "facts": report.facts})
        record.write(settings.folders)
        progress.step_finished(name, seconds, report)
        return report

    def moved(name: str) -> Callable[[Any], None]:
        return lambda item: progress.step_moved(name, _say(item))

    def batch_done(batch: BatchResult) -> None:
        # There is news, so dbt will run: it makes itself ready while ingest waits for the parser and the disk.
        if batch.status == "loaded":
            dbt.parse_ahead()
        progress.step_moved("ingest", _say(batch))

    # Of a night that was killed between publishing and this.
    steps.serve_audiences(settings)
    due = steps.erasures_due(settings)
    if due:
        began = clock.now().astimezone(settings.zone)
        step("erase", lambda: steps.erase(settings, as_of, due, now=began))
    taken = clock.now().astimezone(settings.zone)
    step("ingest", lambda: steps.ingest(settings, as_of, on_batch=batch_done, now=taken))
    fingerprint = steps.input_fingerprint(settings, as_of)
    served = current_pointer(settings.folders)
    if served and served.fingerprint == fingerprint and not force:
        steps.complete_erasures(settings, run_id=record.run_id, now=clock.now().astimezone(settings.zone))
        record.status, record.version = "unchanged", served.version
        return
    dbt.parse_ahead()
    step("prepare identity", lambda: steps.prepare_identity(settings, as_of, dbt, on_node=moved("prepare identity")))
    step("identity", lambda: steps.resolve_identity(settings, as_of))
    step("marts and checks", lambda: steps.build_marts(settings, as_of, dbt, on_node=moved("marts and checks")))
    step("engine", lambda: steps.build_engine_tables(settings, as_of))
    moment = clock.now().astimezone(settings.zone)
    step("audiences", lambda: steps.calculate_audiences(settings, as_of, now=moment))

    def publish() -> StepReport:
        publication, report = steps.publish(
            settings,
            as_of,
            run_id=record.run_id,
            now=clock.now().astimezone(settings.zone),
            accepted=record.accepted,
        )
        record.status = "succeeded" if publication.status == "published" else "unchanged"
        record.version = publication.pointer.version
        return report

    step("publish", publish)


def _say(item: Any) -> str:
    """A batch or dbt node in one short phrase."""
    if hasattr(item, "table"):
        return f"{item.source}/{item.table} {item.batch_id}"
    return str(item.name)


def _peak_memory_mib() -> int:
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return (own + children) // 1024


def record_success(
    settings: PipelineSettings,
    *,
    run_id: str,
    as_of: date,
    times: RunTimes,
    publication: Publication,
    accepted: Sequence[str] = (),
) -> None:
    """Leave a record of a run that Dagster made, in the place where `cdp status` looks."""
    record = _dagster_record(settings, run_id, as_of.isoformat(), times, accepted)
    record.status = "succeeded" if publication.status == "published" else "unchanged"
    record.version = publication.pointer.version
    record.write(settings.folders)


def record_failure(
    settings: PipelineSettings,
    *,
    run_id: str,
    as_of: str,
    times: RunTimes,
    reasons: Sequence[str],
    accepted: Sequence[str] = (),
) -> None:
    """Leave a record of a run of Dagster's that failed."""
    record = _dagster_record(settings, run_id, as_of, times, accepted)
    record.status, record.error = "failed", "; ".join(reasons)
    record.write(settings.folders)


def _dagster_record(
    settings: PipelineSettings, run_id: str, as_of: str, times: RunTimes, accepted: Sequence[str]
) -> RunRecord:
    started, finished = times.started.astimezone(settings.zone), times.finished.astimezone(settings.zone)
    return RunRecord(
        run_id=f"{started:%Y%m%dT%H%M%S}-{run_id[:8]}",
        as_of=as_of,
        started_at=started.isoformat(),
        pid=0,
        finished_at=finished.isoformat(),
        steps=[{"name": name, "seconds": round(seconds, 3)} for name, seconds in times.steps],
        accepted=list(accepted),
    )


def is_interrupted(record: RunRecord) -> bool:
    """Whether a record says `running` although its process is gone: it was killed, and the next run converges."""
    if record.status != "running":
        return False
    try:
        os.kill(record.pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    return False
