"""One frame as bytes of one file format: CSV, JSON lines, Parquet, XLSX, each as its real exporter writes it.

Which table uses which format, and files, parts and manifests, belong to `writers`.
Frames hold local datetimes, dates, fen and `|`-separated options; every format turns them into its own spelling.
"""

import io
import zipfile
from xml.sax.saxutils import escape

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.sample.contracts import Contract
from pipelines.sample.draw import texts
from pipelines.sample.season import Offsets

_CENTS = tuple(f".{cents:02d}" for cents in range(100))
_XLSX_DATE = (1980, 1, 1, 0, 0, 0)


def yuan(fen: pl.Series) -> pl.Series:
    """Amounts in fen (never negative) as yuan with two decimals, as text."""
    cents = texts(_CENTS, fen.fill_null(0).to_numpy() % 100)
    return (fen // 100).cast(pl.String) + cents


def csv_bytes(frame: pl.DataFrame, contract: Contract, *, header: bool) -> bytes:
    """Rows as CSV in UTF-8: local times without offset, money in the contract's unit, options with `|`."""
    spelt = [yuan(frame[c.name]).alias(c.name) for c in contract.columns if c.type == "money" and c.unit == "yuan"]
    out = io.BytesIO()
    frame.with_columns(spelt).write_csv(out, include_header=header, datetime_format="%Y-%m-%d %H:%M:%S")
    return out.getvalue()


def jsonl_bytes(frame: pl.DataFrame, contract: Contract, offsets: Offsets) -> bytes:
    """Rows as JSON lines: times with the zone's offset, options as lists."""
    out = io.BytesIO()
    frame.with_columns(_spelt_json(frame, contract, offsets)).write_ndjson(out)
    return out.getvalue()


def _spelt_json(frame: pl.DataFrame, contract: Contract, offsets: Offsets) -> list[pl.Series]:
    spelt: list[pl.Series] = []
    for column in contract.columns:
        values = frame[column.name]
        if column.type == "datetime":
            spelt.append(_with_offset(values, offsets).alias(column.name))
        elif column.type == "date":
            spelt.append(values.cast(pl.String))
        elif column.type == "options":
            spelt.append(values.str.split("|"))
    return spelt


def _seconds_east(values: pl.Series, offsets: Offsets) -> pl.Series:
    return pl.Series(offsets.of(values.dt.epoch("s").fill_null(0).to_numpy()))


def _with_offset(values: pl.Series, offsets: Offsets) -> pl.Series:
    east = _seconds_east(values, offsets)
    kinds = east.unique(maintain_order=True)
    names = kinds.map_elements(_offset_name, return_dtype=pl.String)
    spelt = values.dt.to_string("%Y-%m-%dT%H:%M:%S")
    if len(kinds) <= 1:
        return spelt + (names[0] if len(kinds) else "")
    return spelt + east.replace_strict(kinds, names, return_dtype=pl.String)


def _offset_name(seconds: int) -> str:
    sign, minutes = ("-" if seconds < 0 else "+"), abs(seconds) // 60
    return f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"


def arrow_table(frame: pl.DataFrame, contract: Contract, offsets: Offsets) -> pa.Table:
    """Rows as an Arrow table for Parquet: times in UTC, options as lists, money as whole fen."""
    spelt: list[pl.Series] = []
    for column in contract.columns:
        values = frame[column.name]
        if column.type == "datetime":
            east = _seconds_east(values, offsets) * 1_000_000
            utc = (values.to_physical() - east).cast(pl.Datetime("us", "UTC"))
            spelt.append(utc.alias(column.name))
        elif column.type == "options":
            spelt.append(values.str.split("|"))
    return frame.with_columns(spelt).to_arrow(compat_level=pl.CompatLevel.oldest())


def parquet_writer(path: str, table: pa.Table, contract: Contract) -> pq.ParquetWriter:
    """A writer for rows shaped like `table`; a single key column is not worth a dictionary."""
    plain = set(contract.key) if len(contract.key) == 1 else set()
    coded = [c.name for c in contract.columns if c.type in {"text", "option"} and c.name not in plain]
    return pq.ParquetWriter(path, table.schema, compression="snappy", use_dictionary=coded, store_schema=False)


def xlsx_bytes(frame: pl.DataFrame, contract: Contract) -> bytes:
    """Rows as a workbook of one sheet in which every cell is text, as the SaaS exports it; truths are 是/否."""
    yes_no = [
        pl.when(pl.col(c.name)).then(pl.lit("是")).otherwise(pl.lit("否")).alias(c.name)
        for c in contract.columns
        if c.type == "boolean"
    ]
    moments = [pl.col(c.name).dt.to_string("%Y-%m-%d %H:%M:%S") for c in contract.columns if c.type == "datetime"]
    shown = frame.with_columns([*yes_no, *moments]).cast(pl.String)
    return workbook([tuple(frame.columns), *shown.rows()])


def workbook(rows: list[tuple[str | None, ...]]) -> bytes:
    """A minimal XLSX file (ECMA-376) with one sheet of text cells; the same rows give the same bytes."""
    body = "".join(_row(number, cells) for number, cells in enumerate(rows, start=1))
    parts = {
        "[Content_Types].xml": _TYPES,
        "_rels/.rels": _RELS,
        "xl/workbook.xml": _BOOK,
        "xl/_rels/workbook.xml.rels": _BOOK_RELS,
        "xl/worksheets/sheet1.xml": f"{_HEAD}<worksheet {_MAIN}><sheetData>{body}</sheetData></worksheet>",
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in parts.items():
            file.writestr(zipfile.ZipInfo(name, _XLSX_DATE), text, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _row(number: int, cells: tuple[str | None, ...]) -> str:
    filled = "".join(
        f'<c r="{_letters(place)}{number}" t="inlineStr"><is><t xml:space="preserve">{escape(cell)}</t></is></c>'
        for place, cell in enumerate(cells)
        if cell is not None
    )
    return f'<row r="{number}">{filled}</row>'


def _letters(place: int) -> str:
    return chr(65 + place) if place < 26 else chr(64 + place // 26) + chr(65 + place % 26)


_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_SHEET_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_TYPES = (
    f'{_HEAD}<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_SHEET_TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_SHEET_TYPE}.worksheet+xml"/></Types>'
)
_RELS = (
    f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
)
_BOOK = (
    f'{_HEAD}<workbook {_MAIN} xmlns:r="{_OFFICE}"><sheets>'
    '<sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>'
)
_BOOK_RELS = (
    f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>'
)
