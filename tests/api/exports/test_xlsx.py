"""Workbooks as openpyxl and calamine read them."""

import io
import re
import zipfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from api.exports import xlsx
from api.exports.sheet import Column
from tests.api.exports.readers import (
    POISON,
    calamine_rows,
    in_a_cell,
    openpyxl_cells,
    openpyxl_rows,
    session,
    xlsx_bytes,
)

NUMBER = Column("number", "序号", "integer")
NOTE = Column("note", "备注", "text")
NOTES = "select unnest($numbers) as number, unnest($notes) as note"


def noted(notes: list[str]) -> bytes:
    return xlsx_bytes(NOTES, (NUMBER, NOTE), {"numbers": list(range(len(notes))), "notes": notes})


def one_value(sql: str, kind: Any) -> tuple[Any, Any]:
    """The value as openpyxl and as calamine read it; they hand out a day as a moment and a midnight as a day."""
    content = xlsx_bytes(f"select 1 as number, {sql} as value", (NUMBER, Column("value", "值", kind)))
    return openpyxl_rows(content)[0][1], calamine_rows(content)[0][1]


def test_poisoned_texts_stay_what_they_are_in_both_readers() -> None:
    content = noted(list(POISON))

    expected = [in_a_cell(text) for text in POISON]
    assert [note or None for _, note in openpyxl_rows(content)] == expected
    assert [note or None for _, note in calamine_rows(content)] == expected


def test_formulas_are_text_cells_that_stay_text_when_edited() -> None:
    cells = openpyxl_cells(noted(["=1+1", "+1", "-1", "@A1"]))

    assert {(note.data_type, note.number_format) for _, note in cells[1:]} == {("s", "@")}


@settings(max_examples=40)
@given(st.lists(st.lists(st.text() | st.sampled_from(POISON)).map("".join), min_size=1, max_size=20))
@example(["\x1f"])  # nothing is left of it: a cell that holds an empty text looks like one that holds none
def test_any_text_survives_both_readers(notes: list[str]) -> None:
    content = noted(notes)

    expected = [in_a_cell(text) for text in notes]
    assert [note or None for _, note in openpyxl_rows(content)] == expected
    assert [note or None for _, note in calamine_rows(content)] == expected


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("字" * 32_767, "字" * 32_767),
        ("字" * 40_000, "字" * 32_766 + "…"),
        ("&" * 40_000, "&" * 32_766 + "…"),
        ("😀" + "字" * 32_765, "😀" + "字" * 32_765),
        ("😀" + "字" * 40_000, "😀" + "字" * 32_764 + "…"),
    ],
)
def test_a_text_is_cut_visibly_at_what_a_cell_can_hold(text: str, kept: str) -> None:
    content = noted([text])

    assert openpyxl_rows(content)[0][1] == kept
    assert calamine_rows(content)[0][1] == kept
    assert len(kept.encode("utf-16-le")) // 2 <= 32_767


def test_a_text_of_nothing_but_emoji_is_never_longer_than_a_cell_can_hold() -> None:
    kept = openpyxl_rows(noted(["😀" * 40_000]))[0][1]

    assert len(kept.encode("utf-16-le")) // 2 <= 32_767
    assert kept.strip("😀") == "…"


@pytest.mark.parametrize("day", [date(2024, 2, 29), date(1900, 3, 1), date(1999, 12, 31), date(9999, 12, 31)])
def test_days_are_dates(day: date) -> None:
    by_openpyxl, by_calamine = one_value(f"date '{day}'", "day")

    assert by_openpyxl == datetime(day.year, day.month, day.day)
    assert by_calamine == day


@pytest.mark.parametrize("day", ["1900-02-28", "1899-12-31", "infinity"])
def test_days_that_excel_does_not_have_are_texts(day: str) -> None:
    assert one_value(f"date '{day}'", "day") == (day, day)


@pytest.mark.parametrize(
    ("utc", "in_shanghai"),
    [
        ("2024-02-28 16:00:00", datetime(2024, 2, 29)),
        ("2024-02-29 15:59:59.999999", datetime(2024, 2, 29, 23, 59, 59)),
        ("2024-02-29 16:00:00", datetime(2024, 3, 1)),
        ("2026-11-20 04:05:06", datetime(2026, 11, 20, 12, 5, 6)),
        ("1969-12-31 15:59:59.5", datetime(1969, 12, 31, 23, 59, 59)),
    ],
)
def test_moments_are_shown_in_the_tenants_zone(utc: str, in_shanghai: datetime) -> None:
    by_openpyxl, by_calamine = one_value(f"timestamptz '{utc}+00'", "moment")

    assert by_openpyxl == in_shanghai
    midnight = in_shanghai.time().isoformat() == "00:00:00"
    assert by_calamine == (in_shanghai.date() if midnight else in_shanghai)


def test_days_and_moments_carry_their_formats() -> None:
    columns = (Column("day", "日", "day"), Column("moment", "时", "moment"))
    cells = openpyxl_cells(xlsx_bytes("select date '2024-02-29' as day, timestamptz '2024-02-29' as moment", columns))

    formats = [cell.number_format.replace("\\", "") for cell in cells[1]]
    assert formats == ["yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss"]


@pytest.mark.parametrize(
    ("sql", "kind", "value"),
    [
        ("-5", "integer", -5),
        ("0::tinyint", "integer", 0),
        ("999999999999999", "integer", 999_999_999_999_999),
        ("-999999999999999::hugeint", "integer", -999_999_999_999_999),
        ("1000000000000000", "integer", "1000000000000000"),
        ("(-9223372036854775808)::bigint", "integer", "-9223372036854775808"),
        ("12345678901234567890123::hugeint", "integer", "12345678901234567890123"),
        ("-12.50::decimal(5, 2)", "decimal", -12.5),
        ("0.0000001::double", "decimal", 1e-7),
        ("12345678.0123456789::decimal(38, 10)", "decimal", 12345678.0123456789),
        ("1e22::double", "decimal", "1e+22"),
        ("'nan'::double", "decimal", "nan"),
        ("true", "flag", True),
        ("false", "flag", False),
    ],
)
def test_numbers_are_numbers_as_far_as_excel_keeps_their_digits(sql: str, kind: str, value: object) -> None:
    assert one_value(sql, kind) == (value, value)


@pytest.mark.parametrize("kind", ["text", "integer", "decimal", "day", "moment", "flag"])
def test_null_is_an_empty_cell_of_every_kind(kind: str) -> None:
    assert one_value("null", kind) == (None, None)


@pytest.mark.parametrize(("sql", "kind"), [("'=1+1'", "integer"), ("'=1+1'", "decimal"), ("'=1+1'", "day")])
def test_a_text_that_poses_as_another_kind_is_refused(sql: str, kind: str) -> None:
    with pytest.raises((duckdb.BinderException, duckdb.ConversionException)):
        one_value(sql, kind)


def test_no_rows_are_a_workbook_with_headings() -> None:
    content = xlsx_bytes("select 1 as number, '' as note where false", (NUMBER, NOTE))

    sheet = openpyxl.load_workbook(io.BytesIO(content)).worksheets[0]
    heading, *rows = sheet.iter_rows()
    assert [cell.value for cell in heading] == ["序号", "备注"]
    assert rows == []
    assert all(cell.font.bold for cell in heading)
    assert sheet.freeze_panes == "A2"
    assert sheet.column_dimensions["B"].width == 20
    assert CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python() == [["序号", "备注"]]


def test_headings_get_the_care_of_texts() -> None:
    labels = ["=1+1", "a<b&\x00", "half \ud83d pair", "两\r\n行", "order"]
    columns = [Column(f"c{number}", label, "integer") for number, label in enumerate(labels)]
    content = xlsx_bytes("select 1 as c0, 2 as c1, 3 as c2, 4 as c3, 5 as c4", columns)

    heading = openpyxl_cells(content)[0]
    assert [cell.value for cell in heading] == ["=1+1", "a<b&", "half ? pair", "两\n行", "order"]
    assert {cell.data_type for cell in heading} == {"s"}


def test_the_columns_given_decide_what_is_written_and_in_which_order() -> None:
    columns = (Column("order", "订单", "text"), NUMBER)
    content = xlsx_bytes("""select 1 as number, 'secret' as phone, '007' as "order" -- the last line""", columns)

    assert openpyxl_rows(content) == [["007", 1]]


@pytest.mark.parametrize("rows", [4, 5, 8, 9])
def test_rows_that_do_not_fit_go_on_in_further_sheets(rows: int) -> None:
    content = xlsx_bytes(f"select range as number from range({rows})", (NUMBER,), sheet_name="客户", rows_per_sheet=4)

    book = openpyxl.load_workbook(io.BytesIO(content))
    assert book.sheetnames == ["客户", "客户 2", "客户 3"][: -(-rows // 4)]
    assert CalamineWorkbook.from_filelike(io.BytesIO(content)).sheet_names == book.sheetnames
    sheets = [[row[0] for row in sheet.iter_rows(values_only=True)] for sheet in book]
    assert {sheet[0] for sheet in sheets} == {"序号"}
    assert [value for sheet in sheets for value in sheet[1:]] == list(range(rows))


def test_the_first_row_beyond_excels_limit_is_on_the_second_sheet() -> None:
    content = xlsx_bytes("select range as number from range(1048576)", (NUMBER,))

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sheets = [archive.read(f"xl/worksheets/sheet{number}.xml") for number in (1, 2)]
    assert [sheet.count(b"<row>") for sheet in sheets] == [1_048_576, 2]
    assert b'<row><c s="0"><v>1048575</v></c></row>' in sheets[1]


def test_a_sheet_ends_before_its_part_needs_zip64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "SHEET_BYTES", 100_000)

    content = xlsx_bytes("select range as number from range(10000)", (NUMBER,))

    book = openpyxl.load_workbook(io.BytesIO(content))
    values = [row[0] for sheet in book for row in sheet.iter_rows(min_row=2, values_only=True)]
    assert len(book.sheetnames) > 2
    assert values == list(range(10_000))


def test_the_same_rows_give_the_same_bytes() -> None:
    query = "select range as number, md5(range::varchar) as note from range(5000)"

    first, second = (xlsx_bytes(query, (NUMBER, NOTE)) for _ in range(2))

    assert first == second
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert {part.date_time for part in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.testzip() is None


@pytest.mark.parametrize(
    "name", ["a/b\\c?d*e[f]g:h", "", "'", "History", "名" * 40, "😀" * 40, "<&\"'>", "\ud800", "a\x00b\n"]
)
def test_any_sheet_name_gives_names_that_excel_accepts(name: str) -> None:
    content = xlsx_bytes("select range as number from range(2)", (NUMBER,), sheet_name=name, rows_per_sheet=1)

    titles = openpyxl.load_workbook(io.BytesIO(content)).sheetnames
    assert len(set(titles)) == 2
    for title in titles:
        assert 1 <= len(title.encode("utf-16-le")) // 2 <= 31
        assert not re.search(r"[\[\]:*?/\\\x00-\x1f]|^'|'$|^history$", title, flags=re.IGNORECASE)


def test_a_stream_that_cannot_seek_gets_a_whole_workbook(tmp_path: Path) -> None:
    class OneWay(io.FileIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation

        tell = seek

    file = tmp_path / "streamed.xlsx"
    with OneWay(str(file), "w") as stream, session() as connection:
        xlsx.write_xlsx(
            stream, connection, "select 7 as number", {}, (NUMBER,), timezone="UTC", on_progress=lambda rows: None
        )

    assert openpyxl_rows(file.read_bytes()) == [[7]]
    assert calamine_rows(file.read_bytes()) == [[7]]
