"""The SQL of one XLSX cell, `<c>…</c>`, per kind of value. The parts around the rows belong to `xlsx_parts`.

Texts are inline strings with the format "text": `=1+1` is shown, never calculated, not even after somebody edits the
cell. NULL and the empty text are empty cells.
"""

from api.exports.rows import UNPRINTABLE, RowFormat
from api.exports.xlsx_parts import DAY_STYLE, HEADING_STYLE, MOMENT_STYLE, TEXT_STYLE

# Excel counts UTF-16 units and offers to "repair" a file whose cell has more.
CELL_UNITS = 32_767
# Excel keeps 15 digits of a number and turns the rest to zeros.
LARGEST_NUMBER = 999_999_999_999_999

_EMPTY = "'<c/>'"
_ESCAPED_UNIT = "_(x[0-9A-Fa-f]{4})"
# What a text may not hold to be written as it is; mostly it holds none of it, and one search is cheaper than the care.
_SPECIAL = rf"[\x00-\x1F&<>\x{{FFFE}}\x{{FFFF}}]|^\s|\s$|{_ESCAPED_UNIT}"


def text_cell(value: str, *, style: int = TEXT_STYLE) -> str:
    """A text, cut to what a cell can hold; the cut is shown as `…`."""
    return f"""
        case
            when {value} is null or {value} = '' then {_EMPTY}
            when strlen({value}) <= {CELL_UNITS} and not regexp_matches({value}, '{_SPECIAL}')
                then '<c s="{style}" t="inlineStr"><is><t>' || {value} || '</t></is></c>'
            else
                '<c s="{style}" t="inlineStr"><is><t xml:space="preserve">' || {_escaped(_cut(value))}
                || '</t></is></c>'
        end"""


def _cut(text: str) -> str:
    """The text itself, or as much of it as leaves room for `…`; less than could be where many are emoji."""
    most = f"left({text}, {CELL_UNITS - 1})"
    return f"""
        case
            when strlen({text}) <= {CELL_UNITS} or length({text}) + {_pairs(text)} <= {CELL_UNITS} then {text}
            else left({text}, {CELL_UNITS - 1} - {_pairs(most)}) || '…'
        end"""


def _pairs(text: str) -> str:
    """How many characters take two UTF-16 units."""
    return rf"length(regexp_replace({text}, '[^\x{{10000}}-\x{{10FFFF}}]', '', 'g'))"


def _escaped(text: str) -> str:
    r"""As XML. A line ends with LF, as Excel has it; `_x0041_` would be read as `A`, so its first `_` is escaped."""
    text = rf"regexp_replace({text}, '\r\n?', chr(10), 'g')"
    text = f"regexp_replace({text}, '[{UNPRINTABLE}]', '', 'g')"
    text = f"replace(replace(replace({text}, '&', '&amp;'), '<', '&lt;'), '>', '&gt;')"
    return rf"regexp_replace({text}, '{_ESCAPED_UNIT}', '_x005F_\1', 'g')"


def _number_cell(value: str) -> str:
    return _plain_cell(value, f"{value} between -{LARGEST_NUMBER} and {LARGEST_NUMBER}", 0, value)


def _day_cell(value: str) -> str:
    # Excel's days begin with 1900 and count a 29 February that 1900 did not have; what is older stays text.
    within = f"{value} between date '1900-03-01' and date '9999-12-31'"
    return _plain_cell(value, within, DAY_STYLE, f"({value} - date '1899-12-30')")


def _moment_cell(value: str) -> str:
    within = f"{value} >= timestamp '1900-03-01' and {value} < timestamp '10000-01-01'"
    # 25569 is 1970-01-01.
    return _plain_cell(value, within, MOMENT_STYLE, f"(epoch({value}) / 86400 + 25569)")


def _plain_cell(value: str, within: str, style: int, number: str) -> str:
    """The number where Excel can hold it, else the value's text, which needs no escaping."""
    return f"""
        case
            when {value} is null then {_EMPTY}
            when {within} then '<c s="{style}"><v>' || {number} || '</v></c>'
            else '<c s="{TEXT_STYLE}" t="inlineStr"><is><t>' || {value} || '</t></is></c>'
        end"""


def _flag_cell(value: str) -> str:
    return f"case when {value} is null then {_EMPTY} else '<c t=\"b\"><v>' || {value}::integer || '</v></c>' end"


XLSX_ROW = RowFormat(
    begin="<row>",
    between="",
    end="</row>",
    cells={
        "text": text_cell,
        "integer": _number_cell,
        "decimal": _number_cell,
        "day": _day_cell,
        "moment": _moment_cell,
        "flag": _flag_cell,
    },
    heading=lambda value: text_cell(value, style=HEADING_STYLE),
)
