"""What happens to a batch before the warehouse is touched: its files are verified and parsed into the staging folder.

A batch that brings somebody who was erased is redacted where it landed and prepared again, so that neither landing nor
what is loaded knows them; how is told in `redact`. Putting the rows in place belongs to `load`.
"""

import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.ingest.contracts import load_contracts
from pipelines.ingest.manifest import Manifest, ManifestFile
from pipelines.ingest.parse_messages import ParseReply, ParseRequest, SandboxRules
from pipelines.ingest.problems import Problem
from pipelines.ingest.quarantine import refusal
from pipelines.settings import PipelineSettings
from pipelines.warehouse.landing import LandedBatch, file_sha256, remove_unlisted
from pipelines.warehouse.parser import Parser
from pipelines.warehouse.redact import Redactor, SpelledFile

PARSER_MEMORY = "2GB"
# A file this large would keep one processor busy while the others wait.
LARGE_FILE_BYTES = 1 << 29


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """A file of the manifest, what the parser was asked, and what it answered."""

    entry: ManifestFile
    request: ParseRequest
    reply: ParseReply


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """A batch whose files lie staged in `folder`, in the order of their names; or its problems.

    `batch` is the batch as it lies in landing now, which may have been redacted just before.
    """

    batch: LandedBatch
    folder: Path
    files: tuple[ParsedFile, ...]
    problems: tuple[Problem, ...]
    seconds: float

    def remove_staged(self) -> None:
        """Remove the staged files; they were needed for one load only."""
        shutil.rmtree(self.folder, ignore_errors=True)


def prepare_batch(
    settings: PipelineSettings, batch: LandedBatch, parser: Parser, redactor: Redactor | None = None
) -> PreparedBatch:
    """Verify a batch's manifest and files, then parse them; every fault of the batch is one of its problems."""
    began = time.perf_counter()
    prepared = _prepare(settings, batch, parser)
    if redactor is not None and not prepared.problems and _touches(redactor, prepared):
        spelled = [_spell(file, parser) for file in prepared.files]
        prepared = _prepare(settings, redactor.redact(batch, spelled), parser)
    return replace(prepared, seconds=time.perf_counter() - began)


def _prepare(settings: PipelineSettings, batch: LandedBatch, parser: Parser) -> PreparedBatch:
    folder = settings.folders.staged.resolve() / f"{batch.source}__{batch.table}__{batch.batch_id}"
    manifest, problems = batch.manifest, list(batch.problems)
    if manifest is not None and not problems:
        if manifest.erased_rows is not None:
            remove_unlisted(batch)
        problems = _file_problems(batch.folder, manifest)
    parsed: tuple[ParsedFile, ...] = ()
    if manifest is not None and not problems:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        parsed = _parse_all(parser, settings, batch, manifest, folder)
        problems = _parse_problems(manifest, parsed)
    return PreparedBatch(batch, folder, parsed, tuple(problems), 0.0)


def _touches(redactor: Redactor, prepared: PreparedBatch) -> bool:
    files = prepared.files
    return redactor.touches(
        load_contracts()[prepared.batch.source, prepared.batch.table],
        [file.request.staged for file in files],
        [file.request.rejects for file in files if file.reply.has_rejects],
    )


def _spell(file: ParsedFile, parser: Parser) -> SpelledFile:
    """The file parsed once more, its rows numbered and also written as they are spelt."""
    request = replace(file.request, numbered=True, spelled=file.request.staged.with_suffix(".spelled.parquet"))
    reply = parser.parse(request)
    if (reply.good, reply.rejected) != (file.reply.good, file.reply.rejected):
        raise ParserFailed(f"{request.file}: read twice, {file.reply} then {reply}")
    assert request.spelled is not None
    return SpelledFile(request.staged, request.spelled)


def number_rows(files: Sequence[ParsedFile], parser: Parser) -> None:
    """Stage again, in order, the files whose rows do not know their place; raises ParserFailed when that fails."""
    for file in files:
        if not file.reply.numbered:
            reply = parser.parse(replace(file.request, numbered=True))
            if (reply.good, reply.rejected) != (file.reply.good, file.reply.rejected):
                raise ParserFailed(f"{file.request.file}: read twice, {file.reply} then {reply}")


class ParserFailed(Exception):  # noqa: N818 -- ours, not the batch's: the night stops and the rerun converges
    """A file that was parsed a moment ago could not be parsed again with the same result."""


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


def _parse_all(
    parser: Parser, settings: PipelineSettings, batch: LandedBatch, manifest: Manifest, folder: Path
) -> tuple[ParsedFile, ...]:
    entries = sorted(manifest.files, key=lambda file: file.name)

    def parse(place: int) -> ParsedFile:
        return _parse(parser, settings, batch, manifest, entries[place], folder / f"{place}")

    with ThreadPoolExecutor(max_workers=settings.threads, thread_name_prefix="parse-files") as side_by_side:
        return tuple(side_by_side.map(parse, range(len(entries))))


def _parse(
    parser: Parser,
    settings: PipelineSettings,
    batch: LandedBatch,
    manifest: Manifest,
    entry: ManifestFile,
    stem: Path,
) -> ParsedFile:
    request = ParseRequest(
        contract=load_contracts()[batch.source, batch.table],
        batch_id=batch.batch_id,
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
        # One thread per file wastes none at the end of a file, and the rows know their place.
        threads=settings.threads if entry.bytes > LARGE_FILE_BYTES else 1,
        numbered=False,
    )
    return ParsedFile(entry, request, parser.parse(request))


def _parse_problems(manifest: Manifest, files: Sequence[ParsedFile]) -> list[Problem]:
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
