"""The first sheet of a spreadsheet as text cells in an Arrow table. What the texts mean belongs to `normalise`."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from python_calamine import CalamineWorkbook


def read_sheet(file: Path) -> tuple[list[str], pa.Table]:
    """The header names and the rows below, blank rows left out.

    out: columns c0, c1, … (string, null for an empty cell) and `line` (int64), the row as the spreadsheet numbers it
    """
    sheet = CalamineWorkbook.from_path(str(file)).get_sheet_by_index(0)
    rows: list[list[Any]] = sheet.to_python(skip_empty_area=False)
    names = [str(cell).strip() for cell in rows[0]] if rows else []
    cells: list[list[str | None]] = [[] for _ in names]
    lines: list[int] = []
    for line, row in enumerate(rows[1:], start=2):
        texts = [cell_text(cell) for cell in row]
        if any(text is not None for text in texts):
            lines.append(line)
            for column, text in zip(cells, texts, strict=True):
                column.append(text)
    table = {f"c{position}": pa.array(column, pa.string()) for position, column in enumerate(cells)}
    return names, pa.table(table | {"line": pa.array(lines, pa.int64())})


def cell_text(cell: Any) -> str | None:
    """A cell's value as a CSV would spell it; spreadsheets show 15 digits, so more are noise of binary fractions."""
    match cell:
        case bool():
            return "true" if cell else "false"
        case float():
            return format(Decimal(format(cell, ".15g")).normalize(), "f")
        case int():
            return str(cell)
        case datetime() | date() | time():
            return cell.isoformat()
        case timedelta():
            return str(cell)
        case _:
            return str(cell) or None
