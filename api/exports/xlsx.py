"""A query as an XLSX workbook: DuckDB spells the rows, they are deflated into the archive as they come.

The archive has fixed times, so the same rows give the same bytes. Cells carry no references; the format allows that.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZIP_DEFLATED, ZipFile

import duckdb

from api.exports.rows import heading_row, row_chunks
from api.exports.sheet import Column
from api.exports.target import open_target
from api.exports.xlsx_cells import XLSX_ROW
from api.exports.xlsx_parts import (
    DEFAULT_SHEET_NAME,
    ROOT_RELATIONS,
    SHEET_TAIL,
    STYLES,
    closing_parts,
    sheet_head,
    sheet_path,
)

# 1,048,576 with the heading.
SHEET_ROWS = 1_048_575
# A part of 2 GiB would need the ZIP64 extension, and Excel offers to "repair" a file that has it.
SHEET_BYTES = 2**30
# Half of the time that level 6 takes, for a sixth more bytes.
DEFLATE_LEVEL = 3


def write_xlsx(
    file: BinaryIO | Path,
    cursor: duckdb.DuckDBPyConnection,
    query: str,
    values: Mapping[str, Any],
    columns: Sequence[Column],
    *,
    timezone: str,
    on_progress: Callable[[int], None],
    sheet_name: str = DEFAULT_SHEET_NAME,
    rows_per_sheet: int = SHEET_ROWS,
) -> int:
    """Write the query's rows as a workbook; returns how many. Further sheets take what does not fit on the first.

    Every chunk ends with `on_progress(rows so far)`; what it raises stops the export. With a path, the file is then
    not there; what was written to a stream is the caller's to throw away. `cursor` is left in the middle of its query
    in that case. Moments are shown in `timezone`; a TIMESTAMP without zone is taken in the session's. Raises what
    DuckDB raises: a column whose type does not suit its kind is refused.
    """
    head = sheet_head(columns, heading_row(cursor, columns, XLSX_ROW)).encode()
    chunks = row_chunks(cursor, query, values, columns, XLSX_ROW, timezone=timezone)
    written = sheets = 0
    with open_target(file) as target, ZipFile(target, "w", ZIP_DEFLATED, compresslevel=DEFLATE_LEVEL) as archive:
        # First, because this is how file sniffers tell a workbook from any other archive.
        _write_part(archive, "_rels/.rels", ROOT_RELATIONS)
        _write_part(archive, "xl/styles.xml", STYLES)
        pending = next(chunks, [])
        while pending or not sheets:
            sheets += 1
            with archive.open(sheet_path(sheets), "w") as part:
                size, room = part.write(head), rows_per_sheet
                while pending and room and size < SHEET_BYTES:
                    now, pending = pending[:room], pending[room:] or next(chunks, [])
                    size += part.write("".join(now).encode())
                    room -= len(now)
                    written += len(now)
                    on_progress(written)
                part.write(SHEET_TAIL.encode())
        for path, xml in closing_parts(sheet_name, sheets).items():
            _write_part(archive, path, xml)
    return written


def _write_part(archive: ZipFile, path: str, xml: str) -> None:
    # Opened by name a part is dated 1980; `writestr` would ask the clock.
    with archive.open(path, "w") as part:
        part.write(xml.encode())
