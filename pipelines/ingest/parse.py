"""Parsing one landed file into staged Parquet, inside the child process: fast when every row is good, exact when not.

The fast way reads the file once, in parallel, without knowing where a row stands. Only when a row is bad, or the order
of rows matters, the file is read again in order to say which line and why. The protocol around this is in `worker`.
"""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipelines.ingest.encoding import (
    certain_encoding,
    has_carriage_returns_only,
    likely_encoding,
    rewrite_as_utf8,
)
from pipelines.ingest.locate import RecordIndex, index_records, write_clean_copy
from pipelines.ingest.manifest import Encoding
from pipelines.ingest.parse_messages import ParseReply, ParseRequest, Refused
from pipelines.ingest.quarantine import refusal
from pipelines.ingest.readers import Source, csv_source, json_source, parquet_source, xlsx_source
from pipelines.ingest.rejects import write_numbered_rejects, write_text_rejects
from pipelines.ingest.sandbox import Sandboxes, open_sandbox
from pipelines.ingest.spelling import Spelling, csv_spelling
from pipelines.ingest.staging import IN_FILE_ORDER, UNNUMBERED, TypedRows, staged_counts, typed_rows, write_staged
from pipelines.telling import without_values

SHOWN_ERROR_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class _Text:
    """A text file as UTF-8 (the landed file itself, or a copy) and the encoding it was written in."""

    file: Path
    encoding: Encoding


def parse_file(request: ParseRequest, sandboxes: Sandboxes) -> ParseReply:
    """Write the staged Parquet, and the rejects when there are any; a problem with the whole file is in the reply."""
    try:
        match request.format:
            case "xlsx":
                return _parse_sheet(request)
            case "parquet":
                return _parse_parquet(request, sandboxes)
            case _:
                return _parse_text(request, sandboxes)
    except Refused as refused:
        return ParseReply(problem=refused.problem)
    except duckdb.Error as error:
        return ParseReply(problem=refusal("unreadable_file", request.file.name, detail=_in_short(error)))


def _parse_sheet(request: ParseRequest) -> ParseReply:
    with closing(open_sandbox(request.rules, threads=1)) as con:
        rows = typed_rows(request, xlsx_source(request.contract, request.file, con))
        counts = _stage_numbered(con, request, rows)
        if counts[1]:
            write_numbered_rejects(con, request, rows)
    return _reply(counts, unknown=rows.source.unknown, numbered=True)


def _parse_parquet(request: ParseRequest, sandboxes: Sandboxes) -> ParseReply:
    with sandboxes.shared(request, threads=request.threads) as con:
        rows = typed_rows(request, parquet_source(request.contract, request.file, con))
        counts = _stage_numbered(con, request, rows)
    if counts[1]:
        with closing(open_sandbox(request.rules, threads=request.threads)) as con:
            write_numbered_rejects(con, request, rows)
    return _reply(counts, unknown=rows.source.unknown, numbered=True)


def _stage_numbered(con: duckdb.DuckDBPyConnection, request: ParseRequest, rows: TypedRows) -> tuple[int, int]:
    assert rows.source.row_number is not None
    write_staged(con, request, rows, row_number=rows.source.row_number)
    return staged_counts(con, request)


def _parse_text(request: ParseRequest, sandboxes: Sandboxes) -> ParseReply:
    text = _as_utf8(request, likely_encoding(request.file, request.encoding))
    counts = _read_fast(request, text.file, sandboxes)
    if counts is None and text.encoding == "utf-8" and request.encoding is None:
        text = _as_utf8(request, certain_encoding(request.file))
        counts = _read_fast(request, text.file, sandboxes) if text.encoding != "utf-8" else None
    if counts is None or counts[1]:
        counts = _read_exactly(request, text.file, counts)
    return _reply(
        counts,
        unknown=_source(request, text.file).unknown,
        numbered=_is_numbered(request),
        guessed=text.encoding if request.encoding is None and text.encoding != "utf-8" else None,
    )


def _reply(
    counts: tuple[int, int], *, unknown: tuple[str, ...], numbered: bool, guessed: Encoding | None = None
) -> ParseReply:
    good, bad = counts
    return ParseReply(
        good, bad, has_rejects=bad > 0, numbered=numbered, unknown_columns=unknown, guessed_encoding=guessed
    )


def _read_fast(request: ParseRequest, text: Path, sandboxes: Sandboxes) -> tuple[int, int] | None:
    """Stage the file; good and bad rows, or None when its structure is broken somewhere."""
    numbered = _is_numbered(request)
    try:
        with sandboxes.shared(request, threads=1 if numbered else request.threads) as con:
            write_staged(con, request, _rows(request, text), row_number=IN_FILE_ORDER if numbered else UNNUMBERED)
            return staged_counts(con, request)
    except duckdb.Error:
        return None


def _read_exactly(request: ParseRequest, text: Path, counts: tuple[int, int] | None) -> tuple[int, int]:
    """Find the place of every refused row; when the structure is broken, stage the good records alone.

    out: good and bad rows
    """
    width = _source(request, text).width
    with closing(open_sandbox(request.rules, threads=1)) as con:
        index = index_records(text, request.format, columns=width, judge=con if counts is None else None)
        readable = text
        if counts is None or sum(counts) != len(index):
            readable, counts = _restage(request, con, text, index)
        write_text_rejects(con, request, _rows(request, readable), text, index)
    return counts[0], counts[1] + len(index.broken)


def _restage(
    request: ParseRequest, con: duckdb.DuckDBPyConnection, text: Path, index: RecordIndex
) -> tuple[Path, tuple[int, int]]:
    clean = request.staged.with_suffix(".clean")
    write_clean_copy(text, request.format, index, clean)
    write_staged(con, request, _rows(request, clean), row_number=IN_FILE_ORDER)
    counts = staged_counts(con, request)
    if sum(counts) != len(index):
        detail = f"{sum(counts)} ≠ {len(index)}"
        raise Refused(refusal("unreadable_file", request.file.name, detail=detail))
    return clean, counts


def _rows(request: ParseRequest, text: Path) -> TypedRows:
    spelling = csv_spelling(text) if request.format == "csv" else Spelling.ANY
    return typed_rows(request, _source(request, text), spelling=spelling)


def _source(request: ParseRequest, text: Path) -> Source:
    return csv_source(request.contract, text) if request.format == "csv" else json_source(request.contract, text)


def _as_utf8(request: ParseRequest, encoding: Encoding) -> _Text:
    only_returns = encoding != "utf-16" and has_carriage_returns_only(request.file)
    if encoding == "utf-8" and not only_returns:
        return _Text(request.file, encoding)
    copy = request.staged.with_suffix(".utf8")
    rewrite_as_utf8(request.file, copy, encoding, only_returns=only_returns)
    return _Text(copy, encoding)


def _is_numbered(request: ParseRequest) -> bool:
    # One thread reads the rows in their order, so they come numbered for free.
    return request.numbered or request.threads == 1


def _in_short(error: Exception) -> str:
    return without_values(str(error)).partition("\n")[0][:SHOWN_ERROR_CHARACTERS]
