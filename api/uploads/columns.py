"""One column of a table that somebody sends, with the lines its values stand in: CSV or XLSX. Runs in the child.

Which column is told by its heading. What a value means belongs to whoever asked.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from python_calamine import CalamineWorkbook

MAX_ROWS = 100_000
# Far longer than anything that names a customer.
MAX_VALUE = 100
_ZIP = b"PK\x03\x04"
_DELIMITERS = ",;\t"


class UnreadableError(Exception):
    """The table cannot be taken; `code` says why: not_a_table, no_known_column, too_many_rows, empty_table."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Column:
    """The column that was found, by the name that the caller has for it, and its values: (line, text), blanks left out.

    Lines are counted as spreadsheets do, the heading's being 1.
    """

    name: str
    values: list[tuple[int, str]]


def read_column(content: bytes, headings: Mapping[str, Sequence[str]]) -> Column:
    """The first column of the names that the table has, by its headings; raises UnreadableError."""
    lines = _sheet(content) if content.startswith(_ZIP) else _csv(content)
    heading = next((cells for _, cells in lines if any(cells)), None)
    if heading is None:
        raise UnreadableError("empty_table")
    name, place = _found([_plain(cell) for cell in heading], headings)
    return Column(name, list(_values(lines, place)))


def _found(heading: Sequence[str], headings: Mapping[str, Sequence[str]]) -> tuple[str, int]:
    for name, spellings in headings.items():
        for spelling in spellings:
            if _plain(spelling) in heading:
                return name, heading.index(_plain(spelling))
    raise UnreadableError("no_known_column")


def _plain(text: str) -> str:
    return text.strip().strip("\ufeff*").replace(" ", "").lower()


def _values(lines: Iterator[tuple[int, list[str]]], place: int) -> Iterator[tuple[int, str]]:
    rows = 0
    for line, cells in lines:
        value = cells[place].strip() if place < len(cells) else ""
        if not value:
            continue
        rows += 1
        if rows > MAX_ROWS:
            raise UnreadableError("too_many_rows")
        yield line, value[: MAX_VALUE + 1]


def _sheet(content: bytes) -> Iterator[tuple[int, list[str]]]:
    try:
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0)
    except Exception as error:
        raise UnreadableError("not_a_table") from error
    # Told before the cells are laid out: one cell in the last corner would ask for all the memory there is.
    if sheet.total_height > 10 * MAX_ROWS:
        raise UnreadableError("too_many_rows")
    yield from ((line, [_cell(cell) for cell in row]) for line, row in enumerate(_rows(sheet), start=1))


def _rows(sheet: Any) -> Iterable[list[Any]]:
    rows: Iterable[list[Any]] = sheet.to_python(skip_empty_area=False)
    return rows


def _cell(cell: Any) -> str:
    """A cell's value as a CSV would spell it: a number that was typed as one keeps its digits."""
    match cell:
        case bool():
            return "true" if cell else "false"
        case float():
            return format(Decimal(format(cell, ".15g")).normalize(), "f")
        case datetime() | date() | time():
            return cell.isoformat()
        case _:
            return str(cell)


def _csv(content: bytes) -> Iterator[tuple[int, list[str]]]:
    text = _text(content)
    if "\0" in text:
        raise UnreadableError("not_a_table")
    first = text.lstrip().split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise UnreadableError("not_a_table") from error


def _text(content: bytes) -> str:
    """UTF-8, UTF-16 with its mark, else GB18030, in which spreadsheets on Chinese Windows save."""
    encodings: Iterable[str] = ("utf-8-sig", "gb18030")
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encodings = ("utf-16",)
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise UnreadableError("not_a_table")
