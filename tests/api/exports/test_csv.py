"""CSV exports as Python's csv module reads them."""

import re

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.exports.sheet import Column
from tests.api.exports.readers import POISON, csv_bytes, csv_rows, printable

NUMBER = Column("number", "序号", "integer")
NOTE = Column("note", "备注", "text")


def harmless(text: str) -> str:
    """What a CSV cell holds of a text."""
    text = printable(text)
    return f"'{text}" if re.match(r"[ \t\r\n\f]*[=+\-@＝＋－＠]|[\t\r\n]", text) else text


def noted(notes: list[str]) -> list[list[str]]:
    query = "select unnest($numbers) as number, unnest($notes) as note"
    content = csv_bytes(query, (NUMBER, NOTE), {"numbers": list(range(len(notes))), "notes": notes})
    return csv_rows(content)[1:]


def test_poisoned_texts_come_back_and_none_begins_a_formula() -> None:
    read = [note for _, note in noted(list(POISON))]

    assert read == [harmless(text) for text in POISON]
    assert [text for text in read if text.strip()[:1] in tuple("=+-@＝＋－＠")] == []


@settings(max_examples=40)
@given(st.lists(st.lists(st.text() | st.sampled_from(POISON)).map("".join), min_size=1, max_size=20))
def test_any_text_survives(notes: list[str]) -> None:
    assert [note for _, note in noted(notes)] == [harmless(text) for text in notes]


@given(st.lists(st.none() | st.text(), min_size=1, max_size=20))
def test_no_row_is_lost_when_its_only_cell_is_empty(notes: list[str | None]) -> None:
    content = csv_bytes("select unnest($notes::varchar[]) as note", (NOTE,), {"notes": notes})

    assert csv_rows(content) == [["备注"], *([harmless(text or "")] for text in notes)]


def test_excel_is_told_the_encoding_and_lines_end_with_crlf() -> None:
    content = csv_bytes("select 1 as number, '王' as note union all select 2, 'a,b'", (NUMBER, NOTE))

    assert content == '\ufeff序号,备注\r\n1,王\r\n2,"a,b"\r\n'.encode()


def test_no_rows_are_a_heading() -> None:
    assert csv_rows(csv_bytes("select 1 as number where false", (NUMBER,))) == [["序号"]]


def test_numbers_keep_their_minus_and_their_digits() -> None:
    columns = (NUMBER, Column("amount", "金额", "decimal"))
    content = csv_bytes("select -12345678901234567890 as number, -0.50::decimal(9, 2) as amount", columns)

    assert csv_rows(content)[1] == ["-12345678901234567890", "-0.50"]


def test_days_moments_and_flags_are_spelt_in_the_tenants_zone() -> None:
    columns = (Column("day", "日", "day"), Column("moment", "时", "moment"), Column("flag", "是否", "flag"))
    content = csv_bytes(
        "select date '2024-02-29' as day, timestamptz '2024-02-28 16:00:00+00' as moment, true as flag"
        " union all select null, timestamptz '2024-02-29 15:59:59.999+00', false",
        columns,
    )

    assert csv_rows(content)[1:] == [
        ["2024-02-29", "2024-02-29 00:00:00", "TRUE"],
        ["", "2024-02-29 23:59:59", "FALSE"],
    ]


def test_long_texts_are_not_cut() -> None:
    assert noted(["字" * 40_000]) == [["0", "字" * 40_000]]


def test_headings_get_the_care_of_texts() -> None:
    columns = (Column("number", '=cmd|"x"', "integer"), Column("note", "half \ud83d pair", "text"))

    assert csv_rows(csv_bytes("select 1 as number, 'a' as note", columns))[0] == ['\'=cmd|"x"', "half ? pair"]


def test_a_text_that_poses_as_a_number_is_refused() -> None:
    with pytest.raises(duckdb.BinderException):
        csv_bytes("select '=1+1' as number", (NUMBER,))
