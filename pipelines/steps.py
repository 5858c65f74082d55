"""The steps of a night as functions, one room above `warehouse`: `cdp nightly` and Dagster's assets both call these.

A step takes settings and the business day, does its work in transactions of its own, and reports rows and details.
The order of the steps, progress and run records live in `pipelines.nightly`; wiring for Dagster in `pipelines.defs`.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import duckdb

from pipelines.breaker import COMPARING
from pipelines.erasure.orders import (
    ErasureOrders,
    ErasureRequest,
    add_tombstones,
    forget_found,
    mark_applied,
    read_orders,
)
from pipelines.identity.resolve import IdentityConfig, NightSummary, resolve_night
from pipelines.identity.state import last_night
from pipelines.ingest.contracts import load_contracts
from pipelines.settings import PipelineSettings
from pipelines.warehouse.audience_inputs import take_audiences, taken_text
from pipelines.warehouse.audiences import calculate_night, serve_night, sweep_old
from pipelines.warehouse.built import Built, Stage, read_built, write_built
from pipelines.warehouse.catalog import catalog_json
from pipelines.warehouse.connection import connect_warehouse, ensure_ingest_schema, set_up
from pipelines.warehouse.dbt import BUILD_AFTER_IDENTITY, BUILD_BEFORE_IDENTITY, DbtSession, NodeResult, project_digest
from pipelines.warehouse.landing import LandedBatch, discover, unsealed, waiting
from pipelines.warehouse.ledger import purged_requests
from pipelines.warehouse.ledger_snapshot import write_snapshot
from pipelines.warehouse.load import BatchResult, ingest_all
from pipelines.warehouse.overrides import offer_overrides, read_overrides, standing_overrides, take_overrides
from pipelines.warehouse.parser import ParserProcess
from pipelines.warehouse.prepare import prepare_batch
from pipelines.warehouse.publish import Publication, current_pointer, publish_marts, remove_old_versions
from pipelines.warehouse.purge import carry_over, find_erased, new_warehouse, refused_batches, swap
from pipelines.warehouse.redact import Redactor
from pipelines.warehouse.remnants import forget_errors, remove_refused_files
from segment_engine.catalog import read_catalog
from segment_engine.runtime.engine_tables import build_engine

CODE_DIR = Path(__file__).resolve().parent
# What is published holds tables that this library makes.
ENGINE_DIR = CODE_DIR.parent / "segment_engine"
STORE_DIR = CODE_DIR.parent / "api" / "storage"
UNREACHED = {
    Stage.INPUTS: "identity's inputs are not built",
    Stage.IDENTITY: "identity is not resolved",
    Stage.CHECKED: "the marts did not pass their checks",
    Stage.ENGINE: "the engine's tables are not built",
    Stage.AUDIENCES: "tags and segments are not calculated",
}


def _code_digest() -> str:
    digest = hashlib.sha256()
    for file in sorted(file for folder in (CODE_DIR, ENGINE_DIR, STORE_DIR) for file in folder.rglob("*")):
        if file.suffix in {".py", ".yml"} and "sample" not in file.relative_to(CODE_DIR.parent).parts:
            digest.update(file.read_bytes())
    return digest.hexdigest()


# Read once, when this process imports the code it will run: a file changed on disk later is not what computes here.
CODE_DIGEST = _code_digest()


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a step did: rows it handled, and facts worth showing."""

    rows: int
    facts: dict[str, str | int | float] = field(default_factory=dict)


class NotCheckedError(Exception):
    """What is built must not be used: it is of another day, of other inputs, or did not come through the step before.

    `reason` is a sentence in both languages.
    """

    def __init__(self, as_of: date, reason: str) -> None:
        super().__init__(f"the night of {as_of} cannot go on from what is built / {as_of} 的夜间任务不能继续: {reason}")
        self.reason = reason


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


def erasures_due(settings: PipelineSettings) -> list[ErasureRequest]:
    """The requests whose customer the working files still hold; after a backup was put back, old ones as well."""
    purged = _purged(settings)
    return [request for request in read_orders(settings).requests if request.request_id not in purged]


def erase(settings: PipelineSettings, as_of: date, requests: list[ErasureRequest], *, now: datetime) -> StepReport:
    """Take the requests' customers out of everything below the data directory but the versions that are served.

    The working files begin anew; the ingest after this replays landing into them and redacts it on the way. A crash
    leaves the requests due, and the next night begins again. Needs the writer lock.
    """
    landed = discover(settings.folders)
    with new_warehouse(settings, read_orders(settings).tombstones) as con:
        found = find_erased(con, requests)
        for request_id, digests in found.new_digests.items():
            add_tombstones(settings, request_id, digests, now)
        forget_found(settings, found.one_ids, found.keys, found.values)
        refused = refused_batches(con, landed)
        carry_over(con, requests, landed)
        # No ingest comes to these before their day.
        later = waiting(landed, settings.zone, after=as_of)
        with _redactor(con, settings, read_orders(settings)) as redactor, ParserProcess() as parser:
            for batch in later:
                prepare_batch(settings, batch, parser, redactor).remove_staged()
    removed = remove_refused_files(refused, found.texts)
    forget_errors(settings.folders, found.texts)
    swap(settings.folders)
    facts: dict[str, str | int | float] = {"requests": len(requests), "refused files removed": len(removed)}
    return StepReport(rows=len(found.keys), facts=facts)


def complete_erasures(settings: PipelineSettings, *, run_id: str, now: datetime) -> list[str]:
    """Report the requests that the served version answers, once every older version is gone; the files removed.

    Only to be called when what is served was built from the working files as they are.
    """
    answered = [request for request, is_served in _purged(settings).items() if not is_served]
    if not answered:
        return []
    removed = remove_old_versions(settings, now=now, at_once=True)
    if mark_applied(settings, answered, run_id, now):
        with connect_warehouse(settings) as con:
            con.execute("update ingest.erasure set is_served = true")
    return removed


def ingest(
    settings: PipelineSettings,
    as_of: date,
    *,
    sources: Iterable[str] | None = None,
    on_batch: Callable[[BatchResult], None] | None = None,
    now: datetime | None = None,
) -> StepReport:
    """Load every sealed batch whose business day is not after `as_of`; of some sources only, when named.

    What operators decided is taken over on the way (`warehouse.overrides`), and tags and segments as they are `now`.
    """
    wanted = None if sources is None else set(sources)
    found = [batch for batch in discover(settings.folders) if wanted is None or batch.source in wanted]
    early = waiting(found, settings.zone, after=as_of)
    batches = [batch for batch in found if batch not in early]
    orders, decided = read_orders(settings), read_overrides(settings)
    with connect_warehouse(settings) as con:
        ensure_ingest_schema(con, settings.folders)
        take_overrides(con, decided)
        take_audiences(con, settings, as_of, now=now)
        with _redactor(con, settings, orders) as redactor:
            results = ingest_all(con, settings, batches, redactor=redactor, on_progress=on_batch)
        write_snapshot(con, settings.folders, as_of)
    return StepReport(rows=sum(result.loaded for result in results), facts=_ingest_facts(settings, results, early))


def prepare_identity(
    settings: PipelineSettings,
    as_of: date,
    dbt: DbtSession,
    *,
    on_node: Callable[[NodeResult], None] | None = None,
) -> StepReport:
    """Build staging and identity's input relations with dbt."""
    with building(settings, as_of, Stage.INPUTS):
        with connect_warehouse(settings) as con:
            con.execute("create schema if not exists identity")
        results = dbt.run(BUILD_BEFORE_IDENTITY, on_node=on_node)
    with connect_warehouse(settings) as con:
        rows = _one(con, "select count(*) from intermediate.int_identity")
    return StepReport(rows=rows, facts={"models": len(results)})


def resolve_identity(settings: PipelineSettings, as_of: date) -> StepReport:
    """Give every identity its customer for this night."""
    with building(settings, as_of, Stage.IDENTITY), connect_warehouse(settings) as con:
        standing = standing_overrides(con, as_of)
        summary: NightSummary = resolve_night(
            con,
            night=as_of,
            config=IdentityConfig(),
            identities="intermediate.int_identity",
            evidence="intermediate.int_identity_evidence",
            blocked="intermediate.int_blocked_value",
            overrides=offer_overrides(con, standing.rows),
        )
    facts: dict[str, str | int | float] = {"customers": summary.customers, "largest": summary.largest}
    if standing.rows:
        facts["operator rows"] = len(standing.rows)
    if standing.left_out:
        told = [f"{row.id} ({why.code}: {', '.join(why.others)})" for row, why in standing.left_out]
        facts["operator rows left out / 未采用的人工规则"] = "; ".join(told)
    facts |= {f"event {kind}": count for kind, count in sorted(summary.events.items())}
    return StepReport(rows=summary.identities, facts=facts)


def build_marts(
    settings: PipelineSettings,
    as_of: date,
    dbt: DbtSession,
    *,
    on_node: Callable[[NodeResult], None] | None = None,
) -> StepReport:
    """Build and test everything behind identity; a failing test raises DbtFailedError and nothing is published."""
    with building(settings, as_of, Stage.CHECKED):
        results = dbt.run(BUILD_AFTER_IDENTITY, on_node=on_node)
    kinds = Counter(result.resource_type for result in results)
    warned = [result for result in results if result.status == "warn"]
    with duckdb.connect(str(settings.folders.marts), read_only=True) as con:
        rows = _one(con, "select sum(estimated_size)::bigint from duckdb_tables() where schema_name = 'marts'")
    facts: dict[str, str | int | float] = {"models": kinds["model"], "checks": kinds["test"], "warnings": len(warned)}
    facts |= {f"warning {result.name}": result.failures for result in warned}
    return StepReport(rows=rows, facts=facts)


def build_engine_tables(settings: PipelineSettings, as_of: date) -> StepReport:
    """Bring the engine's copies of activity and customers, in which filters are evaluated, to what was checked."""
    catalog = read_catalog(json.loads(catalog_json(settings)))
    with building(settings, as_of, Stage.ENGINE), duckdb.connect(str(settings.folders.marts)) as con:
        set_up(con, settings)
        report = build_engine(con, catalog, zone=settings.timezone)
    return StepReport(rows=report.rows, facts={f"tables {how}": count for how, count in report.counts.items()})


def calculate_audiences(settings: PipelineSettings, as_of: date, *, now: datetime) -> StepReport:
    """Calculate smart tags and segments on what is about to be published, and write the analysts' tables of them."""
    catalog = read_catalog(json.loads(catalog_json(settings)))
    # What the night before found and was killed before it could serve: else it would wait no longer.
    serve_audiences(settings)
    with building(settings, as_of, Stage.AUDIENCES):
        fingerprint = _built_for(settings, as_of, Stage.ENGINE).fingerprint
        report = calculate_night(settings, catalog, as_of, fingerprint=fingerprint, now=now)
    return StepReport(rows=report.rows, facts=report.facts)


def serve_audiences(settings: PipelineSettings) -> dict[str, str | int | float]:
    """Let what was calculated for the served version count; of a night that was killed before this, too."""
    pointer = current_pointer(settings.folders)
    return {} if pointer is None else serve_night(settings, pointer)


@contextmanager
def building(settings: PipelineSettings, as_of: date, stage: Stage, *, whole: bool = True) -> Iterator[None]:
    """Bring the working files to `stage` while the block runs; a block that fails leaves them one stage before it.

    The stage before must have been reached for this day from these very inputs, so that two interleaved runs never mix;
    raises NotCheckedError. Only INPUTS begins anew. `whole=False` for a block that builds a part only: it keeps a stage
    that was reached and reaches none itself. Needs the writer lock.
    """
    if stage is Stage.INPUTS:
        before, fingerprint = read_built(settings.folders), input_fingerprint(settings, as_of)
        again = before is not None and (before.as_of, before.fingerprint) == (as_of, fingerprint)
        reached = before.stage if before is not None and again else Stage.BEGUN
    else:
        before = _built_for(settings, as_of, Stage(stage - 1))
        reached, fingerprint = before.stage, before.fingerprint
    write_built(settings.folders, Built(as_of, fingerprint, Stage(stage - 1)))
    yield
    if whole or reached >= stage:
        write_built(settings.folders, Built(as_of, fingerprint, stage))


def _built_for(settings: PipelineSettings, as_of: date, stage: Stage) -> Built:
    """What is built, when it has reached `stage` for this day and its inputs are still the same."""
    built = read_built(settings.folders)
    if built is None:
        raise NotCheckedError(as_of, "nothing is built yet / 尚未构建")
    if built.as_of != as_of:
        raise NotCheckedError(as_of, f"it is of {built.as_of}, by another run / 已构建的是另一次运行的 {built.as_of}")
    if built.stage < stage:
        missing = UNREACHED[Stage(built.stage + 1)]
        raise NotCheckedError(as_of, f"{missing}; build it first / 前一步骤未完成或未通过校验,请先运行")
    if built.fingerprint != input_fingerprint(settings, as_of):
        raise NotCheckedError(
            as_of,
            "batches, models or settings have changed since it was begun; run the night again / "
            "开始构建之后批次、模型或设置已变化,请重新运行夜间任务",
        )
    return built


def publish(
    settings: PipelineSettings, as_of: date, *, run_id: str, now: datetime, accepted: Sequence[str] = ()
) -> tuple[Publication, StepReport]:
    """Publish what was built and checked, then remove versions that are too old; raises NotCheckedError otherwise.

    The version carries the fingerprint of the inputs it was built from, never one computed now. `accepted` are the
    checks that an operator let pass.
    """
    fingerprint = _built_for(settings, as_of, Stage.AUDIENCES).fingerprint
    publication = publish_marts(
        settings,
        run_id=run_id,
        as_of=as_of,
        now=now,
        fingerprint=fingerprint,
        catalog_json=catalog_json(settings),
        anew=not all(_purged(settings).values()),
        count_anew=not COMPARING.isdisjoint(accepted),
    )
    served = serve_audiences(settings)
    sweep_old(settings, now=now)
    removed = complete_erasures(settings, run_id=run_id, now=now) + remove_old_versions(settings, now=now)
    pointer = publication.pointer
    facts: dict[str, str | int | float] = {"version": pointer.version, "status": publication.status, **served}
    if removed:
        facts["removed"] = ", ".join(removed)
    return publication, StepReport(rows=sum(pointer.row_counts.values()), facts=facts)


def input_fingerprint(settings: PipelineSettings, as_of: date) -> str:
    """A hash of everything a published version is computed from, as far as one night's may differ from another's.

    That is day, zone, batches, erased customers, what operators decided, tags and segments, code and models. Two nights
    with equal fingerprints publish equal content.
    """
    digest = hashlib.sha256(f"{as_of.isoformat()}|{settings.timezone}|{project_digest()}|{CODE_DIGEST}".encode())
    with connect_warehouse(settings) as con:
        rows = con.execute(
            "select source, table_name, batch_id, manifest_sha256, status from ingest.batch order by all"
        ).fetchall()
        purged = purged_requests(con)
        decided = [(row.id, row.kind, row.a, row.b) for row in standing_overrides(con, as_of).rows]
        asked = taken_text(con)
    digest.update(repr((rows, sorted(purged), decided, asked)).encode())
    return digest.hexdigest()


def _redactor(
    con: duckdb.DuckDBPyConnection, settings: PipelineSettings, orders: ErasureOrders
) -> AbstractContextManager[Redactor | None]:
    """Who recognises the erased in what arrives; nobody where nobody was erased."""
    if not orders.tombstones:
        return nullcontext()
    values = [digest for (digest,) in con.execute("from ingest.erased_value").fetchall()]
    return Redactor(settings, orders.tombstones, values)


def _purged(settings: PipelineSettings) -> dict[str, bool]:
    if not settings.folders.warehouse.exists():
        return {}
    with connect_warehouse(settings) as con:
        return purged_requests(con)


def _ingest_facts(
    settings: PipelineSettings, results: list[BatchResult], early: list[LandedBatch]
) -> dict[str, str | int | float]:
    statuses = Counter(result.status for result in results)
    facts: dict[str, str | int | float] = {
        "batches loaded": statuses["loaded"],
        "batches unchanged": statuses["unchanged"],
        "batches refused": statuses["refused"],
        "rows rejected": sum(result.rejected for result in results),
    }
    erased = sum(result.erased for result in results if result.status == "loaded")
    if erased:
        facts["rows erased"] = erased
    open_folders = unsealed(settings.folders)
    if open_folders:
        facts["folders without manifest"] = len(open_folders)
    if early:
        days = Counter(batch.business_day(settings.zone).isoformat() for batch in early)
        facts["batches waiting for their business day / 等待业务日"] = ", ".join(
            f"{day} ({count})" for day, count in days.items()
        )
    silent = {f"{contract.source}/{contract.table}" for contract in load_contracts().values()}
    silent -= {f"{result.source}/{result.table}" for result in results}
    if silent:
        facts["tables without a batch"] = len(silent)
    return facts


def _one(con: duckdb.DuckDBPyConnection, query: str) -> int:
    row = con.execute(query).fetchone()
    assert row is not None
    return int(row[0] or 0)
