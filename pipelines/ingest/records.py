"""The physical records of a text file: where each begins, and which are broken. Bytes in, no values out.

A record is a CSV row (which may hold line breaks inside quotes) or a JSONL line. After a broken CSV record reading goes
on at the next physical line, so one stray quote costs one row. Whether the values are good belongs to `normalise`.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import BinaryIO, Literal

# One quoted field may span this much before its opening quote counts as stray.
MAX_RECORD_BYTES = 1 << 20
MAX_RECORD_LINES = 2_000
UTF8_BOM = b"\xef\xbb\xbf"

RecordFault = Literal["wrong_column_count", "broken_quotes", "bad_encoding"]

# Fields as the parser reads them: quotes count only where a field begins. At every byte only one branch can go on, so
# a failing match costs one step back per byte. (Possessive quantifiers would be shorter; Python 3.11.2 has them wrong.)
_INSIDE = rb'"[^"]*(?:""[^"]*)*'
_QUOTED = rb" *" + _INSIDE + rb'" *'
_BARE = rb'(?! *")[^,\r\n]*'
_FIELD = rb"(?:" + _QUOTED + rb"|" + _BARE + rb")"
_END = rb"(?:\r?\n|\r)?"
_RECORD = re.compile(_FIELD + rb"(?:," + _FIELD + rb")*" + _END)
_OPEN = re.compile(rb"(?:" + _FIELD + rb",)* *" + _INSIDE)


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its first line (the file's first line is 1), its offset, its bytes, and what is broken."""

    line: int
    offset: int
    content: bytes
    fault: RecordFault | None = None


def csv_records(stream: BinaryIO, *, columns: int | None) -> Iterator[Record]:
    """The records of a UTF-8 CSV file from the stream's start, header included, blank lines left out.

    With `columns`, records of another width are broken; one empty field more (a comma at the end) is accepted.
    """
    lines = _Lines(stream)
    for line, offset, first in lines:
        if not first.strip(b"\r\n"):
            continue
        if b'"' not in first:
            yield Record(line, offset, first, _plain_fault(first, columns))
            continue
        taken = _whole_record(first, lines)
        if taken is None:
            yield Record(line, offset, first, "broken_quotes")
        else:
            yield Record(line, offset, taken, _quoted_fault(taken, columns))


def json_records(stream: BinaryIO) -> Iterator[Record]:
    """The non-blank lines of a JSONL file; whether a line is JSON is not looked at."""
    for line, offset, content in _Lines(stream):
        if content.strip():
            yield Record(line, offset, content, None if _is_utf8(content) else "bad_encoding")


class _Lines:
    """Physical lines as (number, offset, bytes) with a way to put lines back; a BOM belongs to no line."""

    def __init__(self, stream: BinaryIO) -> None:
        self._returned: deque[tuple[int, int, bytes]] = deque()
        self._fresh = _numbered(stream)

    def __iter__(self) -> Iterator[tuple[int, int, bytes]]:
        return self

    def __next__(self) -> tuple[int, int, bytes]:
        return self._returned.popleft() if self._returned else next(self._fresh)

    def put_back(self, lines: Iterable[tuple[int, int, bytes]]) -> None:
        self._returned.extendleft(reversed(list(lines)))


def _numbered(stream: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    offset = 0
    for number, line in enumerate(stream, start=1):
        content = line.removeprefix(UTF8_BOM) if number == 1 else line
        yield number, offset + len(line) - len(content), content
        offset += len(line)


def _whole_record(first: bytes, lines: _Lines) -> bytes | None:
    """The record that begins with `first`, or None when its quotes are broken; lines read too far are put back."""
    if _RECORD.fullmatch(first):
        return first
    if not _OPEN.fullmatch(first):
        return None
    taken, size = [first], len(first)
    read: list[tuple[int, int, bytes]] = []
    for number, offset, line in lines:
        read.append((number, offset, line))
        taken.append(line)
        size += len(line)
        if size > MAX_RECORD_BYTES or len(read) > MAX_RECORD_LINES:
            break
        if b'"' not in line:
            continue
        joined = b"".join(taken)
        if _RECORD.fullmatch(joined):
            return joined
        if not _OPEN.fullmatch(joined):
            break
    lines.put_back(read)
    return None


def _plain_fault(line: bytes, columns: int | None) -> RecordFault | None:
    if not _is_utf8(line):
        return "bad_encoding"
    if columns is None:
        return None
    if b"\r" in line.removesuffix(b"\n").removesuffix(b"\r"):
        return "wrong_column_count"
    return _width_fault(line.count(b",") + 1, line.rstrip(b"\r\n").endswith(b","), columns)


def _quoted_fault(record: bytes, columns: int | None) -> RecordFault | None:
    if not _is_utf8(record):
        return "bad_encoding"
    return None if columns is None or _record_of(columns).fullmatch(record) else "wrong_column_count"


@cache
def _record_of(columns: int) -> re.Pattern[bytes]:
    return re.compile(_FIELD + rb"(?:," + _FIELD + rb"){%d},?" % (columns - 1) + _END)


def _width_fault(width: int, ends_empty: bool, columns: int) -> RecordFault | None:
    return None if width == columns or (ends_empty and width == columns + 1) else "wrong_column_count"


def _is_utf8(content: bytes) -> bool:
    if content.isascii():
        return True
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
