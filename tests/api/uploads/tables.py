"""Tables as people send them, and as somebody with bad intentions does."""

import io
import zipfile

from openpyxl import Workbook

CELL = '<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'


def xlsx(*rows: tuple[object, ...]) -> bytes:
    book, file = Workbook(), io.BytesIO()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    book.save(file)
    return file.getvalue()


def sheet_xml(xml: bytes) -> bytes:
    """A workbook whose sheet is this XML."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(xlsx(("客户编号",)))) as good,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bad,
    ):
        for item in good.namelist():
            bad.writestr(item, xml if item == "xl/worksheets/sheet1.xml" else good.read(item))
    return file.getvalue()


def corner_to_corner() -> bytes:
    """Two cells, in the first and the last place that a sheet has: 17 thousand million cells lie between."""
    first, last = CELL.format(place="A1", text="客户编号"), CELL.format(place="XFD1048576", text="x")
    rows = f'<row r="1">{first}</row><row r="1048576">{last}</row>'
    return _sheet(rows)


def bomb(megabytes: int) -> bytes:
    """A sheet that is small to send and large to read."""
    return _sheet(f'<row r="1">{CELL.format(place="A1", text="x" * (megabytes << 20))}</row>')


def _sheet(rows: str) -> bytes:
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return sheet_xml(f'<worksheet xmlns="{space}"><sheetData>{rows}</sheetData></worksheet>'.encode())
