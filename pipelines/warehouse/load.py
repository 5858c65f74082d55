"""Loading landed batches: verified, parsed in the child process, then one transaction per batch.

Every step can be killed and run again: nothing is visible before its transaction, and files are written beside their
place and renamed. Which row wins a key is decided in `winners`; the ledger's tables are in `ledger`.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from duckdb import DuckDBPyConnection

from pipelines.ingest.contracts import Contract, load_contracts
from pipelines.ingest.manifest import Manifest, ManifestFile
from pipelines.ingest.parse_messages import ParseReply, ParseRequest, SandboxRules
from pipelines.ingest.problems import Problem
from pipelines.ingest.quarantine import refusal
from pipelines.settings import PipelineSettings
from pipelines.warehouse.landing import LandedBatch, file_sha256
from pipelines.warehouse.ledger import Known, LedgerEntry, known_batches, says_already, write_entry
from pipelines.warehouse.parser import Parser, ParserProcess
from pipelines.warehouse.quarantine_files import RejectedFile, write_quarantine, write_rejections
from pipelines.warehouse.winners import StagedBatch, has_repeated_keys, load_rows

PARSER_MEMORY = "2GB"


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of one batch; `superseded` of its loaded rows lost to another version of their key on arrival.

    For an unchanged batch the numbers are the ledger's, its superseded rows those of today.
    """

    source: str
    table: str
    batch_id: str
    status: Literal["loaded", "unchanged", "refused"]
    manifest_rows: int = 0
    loaded: int = 0
    rejected: int = 0
    superseded: int = 0
    seconds: float = 0.0
    problems: tuple[Problem, ...] = ()
    unknown_columns: tuple[str, ...] = ()
    guessed_encodings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _ParsedFile:
    entry: ManifestFile
    request: ParseRequest
    reply: ParseReply


def ingest_all(
    con: DuckDBPyConnection,
    settings: PipelineSettings,
    batches: Sequence[LandedBatch],
    *,
    on_progress: Callable[[BatchResult], None] | None = None,
) -> list[BatchResult]:
    """Load every batch that is new, in the order given; a refused batch never stops the others.

    Needs the writer lock and `ensure_ingest_schema`. What a killed run left in the staging folder is removed first.
    """
    shutil.rmtree(settings.folders.staged, ignore_errors=True)
    known = known_batches(con)
    results = []
    with ParserProcess() as parser:
        for batch in batches:
            identity = (batch.source, batch.table, batch.batch_id)
            result = _ingest(con, settings, batch, parser=parser, known=known.get(identity))
            results.append(result)
            if on_progress is not None:
                on_progress(result)
    return results


def ingest_batch(
    con: DuckDBPyConnection, settings: PipelineSettings, batch: LandedBatch, *, parser: Parser
) -> BatchResult:
    """Load one batch unless it was loaded already; every fault of the batch is a refused result, not an error."""
    known = known_batches(con).get((batch.source, batch.table, batch.batch_id))
    return _ingest(con, settings, batch, parser=parser, known=known)


def _ingest(
    con: DuckDBPyConnection, settings: PipelineSettings, batch: LandedBatch, *, parser: Parser, known: Known | None
) -> BatchResult:
    began = time.perf_counter()
    if known is not None and known.manifest_sha256 == batch.manifest_sha256:
        result = _unchanged(batch, known)
    else:
        result = _load_or_refuse(con, settings, batch, parser, known)
    return replace(result, seconds=time.perf_counter() - began)


def _unchanged(batch: LandedBatch, known: Known) -> BatchResult:
    return BatchResult(
        batch.source,
        batch.table,
        batch.batch_id,
        "unchanged",
        manifest_rows=known.manifest_rows,
        loaded=known.loaded_rows,
        rejected=known.rejected_rows,
        superseded=known.superseded_rows,
    )


def _load_or_refuse(
    con: DuckDBPyConnection, settings: PipelineSettings, batch: LandedBatch, parser: Parser, known: Known | None
) -> BatchResult:
    if known is not None:
        problems = [refusal("batch_id_reused", "/batch_id"), *batch.problems]
        return _refuse(con, settings, batch, problems)
    if batch.problems or batch.manifest is None:
        return _refuse(con, settings, batch, list(batch.problems))
    problems = _file_problems(batch.folder, batch.manifest)
    if problems:
        return _refuse(con, settings, batch, problems)
    contract = load_contracts()[batch.source, batch.table]
    with _staging_folder(settings, batch) as staged:
        files = [
            _parse(parser, settings, contract, batch, batch.manifest, entry, staged / f"{place}")
            for place, entry in enumerate(sorted(batch.manifest.files, key=lambda file: file.name))
        ]
        problems = _parse_problems(batch.manifest, files)
        if problems:
            return _refuse(con, settings, batch, problems)
        return _load(con, settings, contract, batch, batch.manifest, files, parser)


def _load(
    con: DuckDBPyConnection,
    settings: PipelineSettings,
    contract: Contract,
    batch: LandedBatch,
    manifest: Manifest,
    files: list[_ParsedFile],
    parser: Parser,
) -> BatchResult:
    staged = StagedBatch(
        contract=contract,
        batch_id=batch.batch_id,
        window_end=manifest.window.end,
        files=tuple(file.request.staged for file in files),
        good_rows=sum(file.reply.good for file in files),
    )
    repeated = has_repeated_keys(con, staged)
    if repeated:
        _number_rows(parser, files)
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
        manifest_rows=manifest.row_count,
        loaded_rows=staged.good_rows,
        rejected_rows=sum(file.reply.rejected for file in files),
        unknown_columns=tuple(sorted({name for file in files for name in file.reply.unknown_columns})),
        guessed_encodings=tuple(
            f"{file.entry.name}: {file.reply.guessed_encoding}" for file in files if file.reply.guessed_encoding
        ),
    )
    with _transaction(con):
        superseded = load_rows(con, staged, repeated_keys=repeated)
        write_entry(con, replace(entry, superseded_rows=superseded))
        write_rejections(con, contract, batch.batch_id, rejected)
    return BatchResult(
        batch.source,
        batch.table,
        batch.batch_id,
        "loaded",
        manifest_rows=manifest.row_count,
        loaded=entry.loaded_rows,
        rejected=entry.rejected_rows,
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


def _file_problems(folder: Path, manifest: Manifest) -> list[Problem]:
    """Whether the files are there and are those the manifest was written for, byte by byte."""
    problems = []
    for index, entry in enumerate(manifest.files):
        path = folder / entry.name
        if path.is_symlink() or not path.is_file():
            problems.append(refusal("file_missing", f"/files/{index}/name"))
        elif path.stat().st_size != entry.bytes:
            found = path.stat().st_size
            problems.append(refusal("size_mismatch", f"/files/{index}/bytes", expected=entry.bytes, found=found))
            problems.append(refusal("checksum_mismatch", f"/files/{index}/sha256"))
        elif file_sha256(path) != entry.sha256:
            problems.append(refusal("checksum_mismatch", f"/files/{index}/sha256"))
    return problems


def _parse(
    parser: Parser,
    settings: PipelineSettings,
    contract: Contract,
    batch: LandedBatch,
    manifest: Manifest,
    entry: ManifestFile,
    stem: Path,
) -> _ParsedFile:
    request = ParseRequest(
        contract=contract,
        file=(batch.folder / entry.name).resolve(),
        format=entry.format,
        encoding=entry.encoding,
        window=manifest.window,
        staged=stem.with_suffix(".parquet"),
        rejects=stem.with_suffix(".rejects.parquet"),
        rules=SandboxRules(
            readable=settings.folders.landing.resolve(),
            writable=settings.folders.staged.resolve(),
            timezone=settings.timezone,
            memory_limit=PARSER_MEMORY,
        ),
        threads=settings.threads,
        numbered=False,
    )
    return _ParsedFile(entry, request, parser.parse(request))


def _parse_problems(manifest: Manifest, files: list[_ParsedFile]) -> list[Problem]:
    problems = [file.reply.problem for file in files if file.reply.problem is not None]
    if problems:
        return problems
    places = {entry.name: place for place, entry in enumerate(manifest.files)}
    return [
        refusal(
            "row_count_mismatch",
            f"/files/{places[file.entry.name]}/row_count",
            expected=file.entry.row_count,
            found=file.reply.good + file.reply.rejected,
        )
        for file in files
        if file.reply.good + file.reply.rejected != file.entry.row_count
    ]


def _number_rows(parser: Parser, files: list[_ParsedFile]) -> None:
    """Stage again, in order, the files whose rows do not know their place."""
    for file in files:
        if not file.reply.numbered:
            reply = parser.parse(replace(file.request, numbered=True))
            if (reply.good, reply.rejected) != (file.reply.good, file.reply.rejected):
                raise ParserFailed(f"{file.request.file}: read twice, {file.reply} then {reply}")


class ParserFailed(Exception):  # noqa: N818 -- ours, not the batch's: the night stops and the rerun converges
    """A file that was parsed a moment ago could not be parsed again with the same result."""


@contextmanager
def _staging_folder(settings: PipelineSettings, batch: LandedBatch) -> Iterator[Path]:
    folder = settings.folders.staged.resolve() / f"{batch.source}__{batch.table}__{batch.batch_id}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _transaction(con: DuckDBPyConnection) -> Iterator[None]:
    con.execute("begin")
    try:
        yield
    except BaseException:
        con.execute("rollback")
        raise
    con.execute("commit")
