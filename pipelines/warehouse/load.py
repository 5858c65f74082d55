"""Loading landed batches: each prepared (verified and parsed) ahead, then put in place in one transaction.

Every step can be killed and run again: nothing is visible before its transaction, and files are written beside their
place and renamed. Preparing is in `prepare`, which row wins a key in `winners`, the ledger's tables in `ledger`.
"""

import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from duckdb import DuckDBPyConnection

from pipelines.ingest.contracts import load_contracts
from pipelines.ingest.problems import Problem
from pipelines.ingest.quarantine import refusal
from pipelines.settings import PipelineSettings
from pipelines.warehouse.landing import LandedBatch, remove_data_files, remove_unlisted
from pipelines.warehouse.ledger import Known, LedgerEntry, known_batches, says_already, write_entry
from pipelines.warehouse.parser import Parser, ParserPool
from pipelines.warehouse.prepare import PreparedBatch, number_rows, prepare_batch
from pipelines.warehouse.quarantine_files import RejectedFile, write_quarantine, write_rejections
from pipelines.warehouse.redact import Redactor
from pipelines.warehouse.segments import compact, remove_orphans
from pipelines.warehouse.winners import StagedBatch, has_repeated_keys, load_rows


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of one batch; `superseded` of its loaded rows lost to another version of their key on arrival.

    Of the rows its source delivered (`manifest_rows`) each was loaded, rejected or, being an erased person's, erased.

    For an unchanged batch the numbers are the ledger's, its superseded rows those of today.
    """

    source: str
    table: str
    batch_id: str
    status: Literal["loaded", "unchanged", "refused"]
    manifest_rows: int = 0
    loaded: int = 0
    rejected: int = 0
    erased: int = 0
    superseded: int = 0
    seconds: float = 0.0
    problems: tuple[Problem, ...] = ()
    unknown_columns: tuple[str, ...] = ()
    guessed_encodings: tuple[str, ...] = ()


def ingest_all(
    con: DuckDBPyConnection,
    settings: PipelineSettings,
    batches: Sequence[LandedBatch],
    *,
    redactor: Redactor | None = None,
    on_progress: Callable[[BatchResult], None] | None = None,
) -> list[BatchResult]:
    """Load every batch that is new, in the order given; a refused batch never stops the others.

    Needs the writer lock and `ensure_ingest_schema`. What a killed run left in the staging folder is removed first.
    While one batch is loaded the next ones are parsed.
    """
    shutil.rmtree(settings.folders.staged, ignore_errors=True)
    remove_orphans(con, settings.folders)
    known = known_batches(con)
    results: list[BatchResult] = []
    # What comes again under a known id is never loaded, but it may have brought an erased person back into landing.
    opened = {b.identity for b in batches if _is_new(b, known) or (redactor is not None and not _is_same(b, known))}
    with _parsing_ahead(settings, [b for b in batches if b.identity in opened], redactor) as (parser, parsed):
        for batch in batches:
            prepared = next(parsed) if batch.identity in opened else None
            results.append(_finish(con, settings, batch, known.get(batch.identity), prepared, parser))
            if on_progress is not None:
                on_progress(results[-1])
    for table in {(result.source, result.table) for result in results if result.status == "loaded"}:
        compact(con, settings.folders, load_contracts()[table])
    return results


def ingest_batch(
    con: DuckDBPyConnection, settings: PipelineSettings, batch: LandedBatch, *, parser: Parser
) -> BatchResult:
    """Load one batch unless it was loaded already; every fault of the batch is a refused result, not an error."""
    known = known_batches(con)
    prepared = prepare_batch(settings, batch, parser) if _is_new(batch, known) else None
    return _finish(con, settings, batch, known.get(batch.identity), prepared, parser)


def _is_new(batch: LandedBatch, known: Mapping[tuple[str, str, str], Known]) -> bool:
    return batch.identity not in known


def _is_same(batch: LandedBatch, known: Mapping[tuple[str, str, str], Known]) -> bool:
    return batch.identity in known and known[batch.identity].manifest_sha256 == batch.manifest_sha256


@contextmanager
def _parsing_ahead(
    settings: PipelineSettings, batches: Sequence[LandedBatch], redactor: Redactor | None
) -> Iterator[tuple[Parser, Iterator[PreparedBatch]]]:
    """A parser, and the batches prepared with it in turn, some of them ahead of the one in use."""
    ahead = ThreadPoolExecutor(max_workers=settings.threads, thread_name_prefix="parse-ahead")
    parser = ParserPool(settings.threads)

    def prepared() -> Iterator[PreparedBatch]:
        waiting: deque[Future[PreparedBatch]] = deque()
        for batch in batches:
            waiting.append(ahead.submit(prepare_batch, settings, batch, parser, redactor))
            if len(waiting) > settings.threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    try:
        yield parser, prepared()
    finally:
        # When loading failed, a file may still be in work: end that first, then what it may have started anew.
        ahead.shutdown(wait=False, cancel_futures=True)
        parser.close()
        ahead.shutdown()
        parser.close()


def _finish(
    con: DuckDBPyConnection,
    settings: PipelineSettings,
    batch: LandedBatch,
    known: Known | None,
    prepared: PreparedBatch | None,
    parser: Parser,
) -> BatchResult:
    began = time.perf_counter()
    if prepared is None:
        assert known is not None
        return _finish_known(con, settings, batch, known)
    try:
        if known is not None:
            result = _finish_known(con, settings, prepared.batch, known, prepared.problems)
        elif prepared.problems:
            result = _refuse(con, settings, prepared.batch, list(prepared.problems))
        else:
            result = _load(con, settings, prepared, parser)
    finally:
        prepared.remove_staged()
    return replace(result, seconds=prepared.seconds + time.perf_counter() - began)


def _finish_known(
    con: DuckDBPyConnection,
    settings: PipelineSettings,
    batch: LandedBatch,
    known: Known,
    problems: Sequence[Problem] = (),
) -> BatchResult:
    """A batch that was loaded: unchanged, or refused since its content is another; nobody erased stays in its folder.

    `problems` are of one that was prepared: why it could not be looked through.
    """
    if known.manifest_sha256 == batch.manifest_sha256:
        if batch.manifest is not None and batch.manifest.erased_rows is not None:
            remove_unlisted(batch)
        return _unchanged(batch, known)
    reasons = [refusal("batch_id_reused", "/batch_id"), *(problems or batch.problems)]
    if problems and known.erased_rows:
        remove_data_files(batch)
        reasons.append(refusal("erased_batch_unreadable", "/files"))
    return _refuse(con, settings, batch, reasons)


def _unchanged(batch: LandedBatch, known: Known) -> BatchResult:
    return BatchResult(
        batch.source,
        batch.table,
        batch.batch_id,
        "unchanged",
        manifest_rows=known.manifest_rows,
        loaded=known.loaded_rows,
        rejected=known.rejected_rows,
        erased=known.erased_rows,
        superseded=known.superseded_rows,
    )


def _load(con: DuckDBPyConnection, settings: PipelineSettings, prepared: PreparedBatch, parser: Parser) -> BatchResult:
    batch, files = prepared.batch, prepared.files
    manifest = batch.manifest
    assert manifest is not None
    erased = manifest.erased_rows or 0
    contract = load_contracts()[batch.source, batch.table]
    staged = StagedBatch(
        contract=contract,
        batch_id=batch.batch_id,
        window_end=manifest.window.end,
        files=tuple(file.request.staged for file in files),
        good_rows=sum(file.reply.good for file in files),
    )
    repeated = has_repeated_keys(con, staged)
    if repeated:
        number_rows(files, parser)
    rejected = [RejectedFile(file.entry.name, file.request.rejects) for file in files if file.reply.has_rejects]
    # Before the transaction: whoever sees the ledger finds the file; a rerun writes the same file again.
    write_quarantine(con, settings.folders, contract, batch.batch_id, rejected)
    entry = LedgerEntry(
        batch_id=batch.batch_id,
        source=batch.source,
        table_name=batch.table,
        status="loaded",
        manifest_sha256=batch.manifest_sha256,
        window_from=manifest.window.start,
        window_to=manifest.window.end,
        business_day=manifest.business_day(settings.zone),
        manifest_rows=manifest.row_count + erased,
        loaded_rows=staged.good_rows,
        rejected_rows=sum(file.reply.rejected for file in files),
        erased_rows=erased,
        unknown_columns=tuple(sorted({name for file in files for name in file.reply.unknown_columns})),
        guessed_encodings=tuple(
            f"{file.entry.name}: {file.reply.guessed_encoding}" for file in files if file.reply.guessed_encoding
        ),
    )
    with _transaction(con):
        superseded = load_rows(con, settings.folders, staged, repeated_keys=repeated)
        write_entry(con, replace(entry, superseded_rows=superseded))
        write_rejections(con, contract, batch.batch_id, rejected)
    return BatchResult(
        batch.source,
        batch.table,
        batch.batch_id,
        "loaded",
        manifest_rows=entry.manifest_rows or 0,
        loaded=entry.loaded_rows,
        rejected=entry.rejected_rows,
        erased=erased,
        superseded=superseded,
        unknown_columns=entry.unknown_columns,
        guessed_encodings=entry.guessed_encodings,
    )


def _refuse(
    con: DuckDBPyConnection, settings: PipelineSettings, batch: LandedBatch, problems: list[Problem]
) -> BatchResult:
    manifest = batch.manifest
    entry = LedgerEntry(
        batch_id=batch.batch_id,
        source=batch.source,
        table_name=batch.table,
        status="refused",
        manifest_sha256=batch.manifest_sha256,
        window_from=manifest.window.start if manifest else None,
        window_to=manifest.window.end if manifest else None,
        business_day=manifest.business_day(settings.zone) if manifest else None,
        manifest_rows=manifest.row_count if manifest else None,
        problems=tuple(problems),
    )
    if not says_already(con, entry):
        with _transaction(con):
            write_entry(con, entry)
    rows = manifest.row_count if manifest else 0
    return BatchResult(
        batch.source, batch.table, batch.batch_id, "refused", manifest_rows=rows, problems=tuple(problems)
    )


@contextmanager
def _transaction(con: DuckDBPyConnection) -> Iterator[None]:
    con.execute("begin")
    try:
        yield
    except BaseException:
        con.execute("rollback")
        raise
    con.execute("commit")
