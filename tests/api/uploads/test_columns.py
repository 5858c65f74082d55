"""One column of a table that somebody sends: found by its heading, read with its lines, or refused with a reason."""

import pytest

from api.uploads.columns import MAX_ROWS, MAX_VALUE, Column, UnreadableError, read_column
from tests.api.uploads.tables import xlsx

HEADINGS = {"id": ("客户编号", "one_id"), "phone": ("手机号码", "phone")}


@pytest.mark.parametrize(
    "content",
    [
        "姓名,手机号码\n唐三,13800000001\n\n,\n小舞,13800000002\n".encode(),
        "\ufeff姓名,手机号码\r\n唐三,13800000001\r\n\r\n,\r\n小舞,13800000002\r\n".encode(),
        "姓名;手机号码\n唐三;13800000001\n\n;\n小舞;13800000002\n".encode("gb18030"),
        "姓名\t手机号码\n唐三\t13800000001\n\n\t\n小舞\t13800000002\n".encode("utf-16"),
        xlsx(("姓名", "手机号码"), ("唐三", 13800000001), (), (None, None), ("小舞", " 13800000002 ")),
    ],
    ids=["utf-8", "with mark and CRLF", "gb18030 and semicolons", "utf-16 and tabs", "xlsx with numbers"],
)
def test_values_are_read_with_the_lines_that_a_spreadsheet_shows(content: bytes) -> None:
    assert read_column(content, HEADINGS) == Column("phone", [(2, "13800000001"), (5, "13800000002")])


def test_the_first_name_wins_whatever_the_order_of_the_columns() -> None:
    content = "手机号码, ONE_ID \n1,C1\n".encode()

    assert read_column(content, HEADINGS) == Column("id", [(2, "C1")])


def test_a_cell_over_several_lines_and_a_short_row_do_no_harm() -> None:
    content = '姓名,客户编号\n"唐\n三",C1\n只有姓名\n小舞,"C2"\n'.encode()

    assert read_column(content, HEADINGS).values == [(3, "C1"), (5, "C2")]


def test_long_values_are_cut_behind_the_place_where_they_are_too_long() -> None:
    content = f"客户编号\n{'x' * 90_000}\n".encode()

    assert read_column(content, HEADINGS).values == [(2, "x" * (MAX_VALUE + 1))]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_table"),
        (b"\n\n , \n", "no_known_column"),
        ("姓名\n唐三\n".encode(), "no_known_column"),
        (b"\x00\x01\x02", "not_a_table"),
        (b"PK\x03\x04 and no zip", "not_a_table"),
        (b"\xff\xfe\x00", "not_a_table"),
        ("客户编号\n".encode() + b"\xff\xff\xff\xff\n", "not_a_table"),
        (f'客户编号\n"{"x" * 200_000}\n'.encode(), "not_a_table"),
        ("客户编号\n".encode() + b"C1\n" * (MAX_ROWS + 1), "too_many_rows"),
    ],
    ids=[
        "nothing", "blank", "no heading of ours", "binary", "no zip", "half a character", "no encoding",
        "a quote that never ends", "too many rows",
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_refused_by_reason(content: bytes, code: str) -> None:
    with pytest.raises(UnreadableError) as refused:
        read_column(content, HEADINGS)

    assert refused.value.code == code


def test_exactly_as_many_rows_as_allowed_are_read() -> None:
    content = "客户编号\n".encode() + b"C1\n" * MAX_ROWS

    assert len(read_column(content, HEADINGS).values) == MAX_ROWS
