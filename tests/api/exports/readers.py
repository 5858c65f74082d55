"""Writing exports to memory, and reading them back with programs that know nothing of ours."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import openpyxl
from openpyxl.cell.cell import Cell
from python_calamine import CalamineWorkbook

from api.exports.csv import write_csv
from api.exports.sheet import Column
from api.exports.xlsx import write_xlsx

SHANGHAI = "Asia/Shanghai"

# Every way in which a text tries to become something else; the comments say what it must not become.
POISON = (
    "=1+1",  # a sum
    '=HYPERLINK("http://evil.example","点我")',
    "+8613800000000",
    "-5",
    "@SUM(A1:A9)",
    "＝1+1",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    " =1+1",
    "\x01=1+1",  # a sum once the control character is gone
    "0012",  # 12
    "310101199001011234",  # a number that keeps 15 digits
    "TRUE",
    "2024-02-29",
    'a "quoted" name',
    "<c t='n'><v>1</v></c>&amp;]]>",
    "first\r\nsecond\rthird\nfourth",
    "  edge blanks  ",
    "bell\x07 null\x00 nonchar\ufffe\uffff escape\x1b[31m",
    "👨‍👩‍👧 😀 王小明",
    "_x0041_",  # A
    "_x005F_x0041_x0042_",
    "_x0041",
    "",
)


def session() -> duckdb.DuckDBPyConnection:
    """A database whose session lives in another zone than the tenant."""
    connection = duckdb.connect(config={"threads": 2})
    connection.execute("set TimeZone = 'UTC'")
    return connection


def xlsx_bytes(query: str, columns: Sequence[Column], values: Mapping[str, Any] | None = None, **options: Any) -> bytes:
    return _bytes(write_xlsx, query, columns, values, options)


def csv_bytes(query: str, columns: Sequence[Column], values: Mapping[str, Any] | None = None, **options: Any) -> bytes:
    return _bytes(write_csv, query, columns, values, options)


def _bytes(
    write: Any, query: str, columns: Sequence[Column], values: Mapping[str, Any] | None, options: Mapping[str, Any]
) -> bytes:
    file = io.BytesIO()
    told = {"timezone": SHANGHAI, "on_progress": lambda rows: None} | dict(options)
    with session() as connection:
        write(file, connection, query, values or {}, columns, **told)
    return file.getvalue()


def openpyxl_cells(content: bytes) -> list[list[Cell]]:
    """The first sheet's cells, heading included."""
    return [list(row) for row in openpyxl.load_workbook(io.BytesIO(content)).worksheets[0].iter_rows()]


def openpyxl_rows(content: bytes) -> list[list[Any]]:
    """The first sheet's values without the heading. openpyxl leaves `_x0041_` to its caller, Excel does not."""
    return [[_unescaped(cell.value) for cell in row] for row in openpyxl_cells(content)[1:]]


def _unescaped(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return re.sub("_x([0-9A-Fa-f]{4})_", lambda match: chr(int(match[1], 16)), value)


def calamine_rows(content: bytes) -> list[list[Any]]:
    """The first sheet's values without the heading; an empty cell is None."""
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0)
    return [[None if value == "" else value for value in row] for row in sheet.to_python()[1:]]


def csv_rows(content: bytes) -> list[list[str]]:
    """Every row, heading included, as the csv module reads it."""
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))


def printable(text: str) -> str:
    """What of a text can be written at all."""
    return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "", text)


def in_a_cell(text: str) -> str | None:
    """What an XLSX cell shows of a text that is not too long."""
    return re.sub("\r\n?", "\n", printable(text)) or None
