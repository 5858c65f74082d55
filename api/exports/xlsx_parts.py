"""The XML of a workbook around its rows: styles, sheet heads, and the parts that name the sheets."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import quoteattr

from api.exports.sheet import Column, Kind

# Positions in `cellXfs` below.
HEADING_STYLE, DAY_STYLE, MOMENT_STYLE, TEXT_STYLE = 1, 2, 3, 4

DEFAULT_SHEET_NAME = "数据"
SHEET_NAME_UNITS = 31

_DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_DOCUMENT = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_MEDIA = "application/vnd.openxmlformats-officedocument.spreadsheetml"

# In characters of the default font; a text is as wide as a name or a phone number needs.
_WIDTHS: Mapping[Kind, int] = {"text": 20, "integer": 12, "decimal": 14, "day": 12, "moment": 20, "flag": 8}
_WIDEST = 60

ROOT_RELATIONS = (
    f'{_DECLARATION}<Relationships xmlns="{_RELATIONS}">'
    f'<Relationship Id="rId1" Type="{_DOCUMENT}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
)

STYLES = (
    f'{_DECLARATION}<styleSheet xmlns="{_MAIN}">'
    '<numFmts count="2"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/>'
    '<numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/></numFmts>'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="5">'
    '<xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="49" fontId="1" fillId="0" borderId="0" xfId="0" applyNumberFormat="1" applyFont="1"/>'
    '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="165" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    "</cellXfs>"
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)

SHEET_TAIL = "</sheetData></worksheet>"


def sheet_head(columns: Sequence[Column], heading_row: str) -> str:
    """A sheet up to its first row of data; the heading row stays in sight."""
    widths = "".join(
        f'<col min="{number}" max="{number}" width="{_width(column)}" customWidth="1"/>'
        for number, column in enumerate(columns, start=1)
    )
    return (
        f'{_DECLARATION}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
        '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
        f"<cols>{widths}</cols><sheetData>{heading_row}"
    )


def _width(column: Column) -> int:
    # A Chinese character is as wide as two digits.
    label = sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in column.label)
    return max(_WIDTHS[column.kind], min(label + 2, _WIDEST))


def sheet_title(name: str, number: int) -> str:
    """A name that Excel accepts for the sheet of that number, counted from 1; from the second on it ends in it."""
    suffix = f" {number}" if number > 1 else ""
    units = name.encode("utf-16-le", "replace")[: 2 * (SHEET_NAME_UNITS - len(suffix))]
    title = re.sub(r"[\[\]:*?/\\\x00-\x1f\ufffe\uffff]", "_", units.decode("utf-16-le", "ignore")).strip("' ")
    # Excel keeps this one for itself.
    reserved = title.casefold() == "history"
    return (DEFAULT_SHEET_NAME if reserved or not title else title) + suffix


def sheet_path(number: int) -> str:
    """Where the sheet of that number lies in the archive."""
    return f"xl/worksheets/sheet{number}.xml"


def closing_parts(sheet_name: str, sheets: int) -> dict[str, str]:
    """The parts that name every sheet, known when the last is written: path to XML."""
    numbers = range(1, sheets + 1)
    names = "".join(
        f'<sheet name={quoteattr(sheet_title(sheet_name, number))} sheetId="{number}" r:id="rId{number}"/>'
        for number in numbers
    )
    relations = "".join(
        f'<Relationship Id="rId{number}" Type="{_DOCUMENT}/worksheet" Target="worksheets/sheet{number}.xml"/>'
        for number in numbers
    )
    types = "".join(
        f'<Override PartName="/{sheet_path(number)}" ContentType="{_MEDIA}.worksheet+xml"/>' for number in numbers
    )
    return {
        "xl/workbook.xml": f'{_DECLARATION}<workbook xmlns="{_MAIN}" xmlns:r="{_DOCUMENT}">'
        f"<bookViews><workbookView/></bookViews><sheets>{names}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'{_DECLARATION}<Relationships xmlns="{_RELATIONS}">{relations}'
        f'<Relationship Id="rId{sheets + 1}" Type="{_DOCUMENT}/styles" Target="styles.xml"/></Relationships>',
        "[Content_Types].xml": f'{_DECLARATION}<Types xmlns="{_TYPES}">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_MEDIA}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{_MEDIA}.styles+xml"/>{types}</Types>',
    }
