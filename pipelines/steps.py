"""The steps of a night as functions, one room above `warehouse`: `cdp nightly` and Dagster's assets both call these.

A step takes settings and the business day, does its work in transactions of its own, and reports rows and details.
The order of the steps, progress and run records live in `pipelines.nightly`; wiring for Dagster in `pipelines.defs`.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import duckdb

from pipelines.identity.resolve import IdentityConfig, NightSummary, resolve_night
from pipelines.identity.state import last_night
from pipelines.ingest.contracts import load_contracts
from pipelines.settings import PipelineSettings
from pipelines.warehouse.catalog import catalog_json
from pipelines.warehouse.connection import connect_warehouse, ensure_ingest_schema
from pipelines.warehouse.dbt import BUILD_AFTER_IDENTITY, BUILD_BEFORE_IDENTITY, NodeResult, project_digest, run_dbt
from pipelines.warehouse.landing import discover, unsealed
from pipelines.warehouse.load import BatchResult, ingest_all
from pipelines.warehouse.publish import Publication, publish_marts, remove_old_versions

CODE_DIR = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a step did: rows it handled, and facts worth showing."""

    rows: int
    facts: dict[str, str | int | float] = field(default_factory=dict)


class NotCheckedError(Exception):
    """The built marts did not pass their checks for the day that is to be published."""

    def __init__(self, as_of: date) -> None:
        super().__init__(
            f"the built marts were not checked for {as_of}; build them first / 尚未通过 {as_of} 的校验,不能发布"
        )


class BusinessDayError(ValueError):
    """There can be no night for this business day: it has not begun, or a later night has run."""


def check_business_day(settings: PipelineSettings, as_of: date, *, today: date) -> None:
    """Refuse a day that lies in the future or before the last night; before any work, with the writer lock held.

    `today` is the tenant's. It may be run itself, before it is over; the day of the last night may be run again.
    """
    if as_of > today:
        # Identity's history moves forward only: one night of a mistyped year would refuse every night until then.
        raise BusinessDayError(
            f"{as_of} lies in the future, today is {today} in {settings.timezone}; run today or an earlier day / "
            f"{as_of} 是未来的日期({settings.timezone} 今天是 {today}),只能运行今天或更早的业务日"
        )
    if not settings.folders.warehouse.exists():
        return
    with connect_warehouse(settings) as con:
        last = last_night(con, "identity")
    if last is not None and as_of < last:
        raise BusinessDayError(
            f"{as_of} is earlier than the last night, {last}; identity's history only moves forward, run {last} or a "
            f"later day / {as_of} 早于已处理的最后一晚 {last},客户编号的历史只能向前,请运行 {last} 或更晚的业务日"
        )


def ingest(
    settings: PipelineSettings,
    as_of: date,
    *,
    sources: Iterable[str] | None = None,
    on_batch: Callable[[BatchResult], None] | None = None,
) -> StepReport:
    """Load every sealed batch whose business day is not after `as_of`; of some sources only, when named."""
    wanted = None if sources is None else set(sources)
    batches = [
        batch
        for batch in discover(settings.folders)
        if batch.business_day(settings.zone) <= as_of and (wanted is None or batch.source in wanted)
    ]
    with connect_warehouse(settings) as con:
        ensure_ingest_schema(con, settings.folders)
        results = ingest_all(con, settings, batches, on_progress=on_batch)
    return StepReport(rows=sum(result.loaded for result in results), facts=_ingest_facts(settings, results))


def prepare_identity(
    settings: PipelineSettings, as_of: date, *, on_node: Callable[[NodeResult], None] | None = None
) -> StepReport:
    """Build staging and identity's input relations with dbt."""
    with connect_warehouse(settings) as con:
        con.execute("create schema if not exists identity")
    results = run_dbt(settings, BUILD_BEFORE_IDENTITY, as_of=as_of, on_node=on_node)
    with connect_warehouse(settings) as con:
        rows = _one(con, "select count(*) from intermediate.int_identity")
    return StepReport(rows=rows, facts={"models": len(results)})


def resolve_identity(settings: PipelineSettings, as_of: date) -> StepReport:
    """Give every identity its customer for this night."""
    with connect_warehouse(settings) as con:
        summary: NightSummary = resolve_night(
            con,
            night=as_of,
            config=IdentityConfig(),
            identities="intermediate.int_identity",
            evidence="intermediate.int_identity_evidence",
            blocked="intermediate.int_blocked_value",
        )
    facts: dict[str, str | int | float] = {"customers": summary.customers, "largest": summary.largest}
    facts |= {f"event {kind}": count for kind, count in sorted(summary.events.items())}
    return StepReport(rows=summary.identities, facts=facts)


def build_marts(
    settings: PipelineSettings, as_of: date, *, on_node: Callable[[NodeResult], None] | None = None
) -> StepReport:
    """Build and test everything behind identity; a failing test raises DbtFailedError and nothing is published."""
    mark_unchecked(settings)
    results = run_dbt(settings, BUILD_AFTER_IDENTITY, as_of=as_of, on_node=on_node)
    mark_checked(settings, as_of)
    kinds = Counter(result.resource_type for result in results)
    warned = [result for result in results if result.status == "warn"]
    with duckdb.connect(str(settings.folders.marts), read_only=True) as con:
        rows = _one(con, "select sum(estimated_size)::bigint from duckdb_tables() where schema_name = 'marts'")
    facts: dict[str, str | int | float] = {"models": kinds["model"], "checks": kinds["test"], "warnings": len(warned)}
    facts |= {f"warning {result.name}": result.failures for result in warned}
    return StepReport(rows=rows, facts=facts)


def mark_unchecked(settings: PipelineSettings) -> None:
    """Say that the built marts must not be published: they are being rebuilt, or a check failed."""
    _checked_mark(settings).unlink(missing_ok=True)


def mark_checked(settings: PipelineSettings, as_of: date) -> None:
    """Say that the built marts passed every check for this business day."""
    _checked_mark(settings).write_text(as_of.isoformat(), encoding="utf-8")


def publish(
    settings: PipelineSettings, as_of: date, *, run_id: str, now: datetime, fingerprint: str
) -> tuple[Publication, StepReport]:
    """Publish what was built and checked, then remove versions that are too old; raises NotCheckedError otherwise."""
    mark = _checked_mark(settings)
    if not mark.exists() or mark.read_text(encoding="utf-8") != as_of.isoformat():
        raise NotCheckedError(as_of)
    publication = publish_marts(
        settings,
        run_id=run_id,
        as_of=as_of,
        now=now,
        fingerprint=fingerprint,
        catalog_json=catalog_json(settings),
    )
    removed = remove_old_versions(settings, now=now)
    pointer = publication.pointer
    facts: dict[str, str | int | float] = {"version": pointer.version, "status": publication.status}
    if removed:
        facts["removed"] = ", ".join(removed)
    return publication, StepReport(rows=sum(pointer.row_counts.values()), facts=facts)


def input_fingerprint(settings: PipelineSettings, as_of: date) -> str:
    """A hash of everything a published version is computed from: business day, zone, loaded batches, code and models.

    Two nights with equal fingerprints publish equal content.
    """
    digest = hashlib.sha256(f"{as_of.isoformat()}|{settings.timezone}|{project_digest()}".encode())
    for file in sorted(CODE_DIR.rglob("*")):
        if file.suffix in {".py", ".yml"} and "sample" not in file.relative_to(CODE_DIR).parts:
            digest.update(file.read_bytes())
    with connect_warehouse(settings) as con:
        rows = con.execute(
            "select source, table_name, batch_id, manifest_sha256, status from ingest.batch order by all"
        ).fetchall()
    digest.update(repr(rows).encode())
    return digest.hexdigest()


def _ingest_facts(settings: PipelineSettings, results: list[BatchResult]) -> dict[str, str | int | float]:
    statuses = Counter(result.status for result in results)
    facts: dict[str, str | int | float] = {
        "batches loaded": statuses["loaded"],
        "batches unchanged": statuses["unchanged"],
        "batches refused": statuses["refused"],
        "rows rejected": sum(result.rejected for result in results),
    }
    waiting = unsealed(settings.folders)
    if waiting:
        facts["folders without manifest"] = len(waiting)
    silent = {f"{contract.source}/{contract.table}" for contract in load_contracts().values()}
    silent -= {f"{result.source}/{result.table}" for result in results}
    if silent:
        facts["tables without a batch"] = len(silent)
    return facts


def _checked_mark(settings: PipelineSettings) -> Path:
    return settings.folders.build / "CHECKED"


def _one(con: duckdb.DuckDBPyConnection, query: str) -> int:
    row = con.execute(query).fetchone()
    assert row is not None
    return int(row[0] or 0)
