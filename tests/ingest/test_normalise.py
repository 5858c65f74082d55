import re
import unicodedata
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.ingest.contracts import Column, load_contracts
from pipelines.ingest.manifest import Window
from pipelines.ingest.normalise import (
    BLANK_CHARACTERS,
    NARROW_MARKS,
    PLAIN_CHARACTERS,
    TRIMMED,
    WIDE_MARKS,
    arrival_bounds,
    column_sql,
)
from pipelines.ingest.parse_messages import SandboxRules
from pipelines.ingest.sandbox import open_sandbox
from pipelines.ingest.spelling import Spelling
from tests.ingest.factory import ZONE


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sandbox")
    con = open_sandbox(SandboxRules(folder, folder, "Asia/Shanghai", "1GB"), threads=1)

    def read_column(column, values, source_type="VARCHAR", *, bounds=None, spelling=Spelling.ANY):
        """For each value (result, code); also that a row is called bad exactly when a code says why."""
        sql = column_sql(column, raw="r", value="v", source_type=source_type, bounds=bounds, spelling=spelling)
        rows = con.execute(
            f"with given as (select unnest($values::{source_type}[]) as r), read as (select *, {sql.value} as v"
            f" from given) select v, coalesce({sql.is_bad}, false), {sql.code} from read",
            {"values": list(values)},
        ).fetchall()
        assert [bad for _, bad, _ in rows] == [code is not None for *_, code in rows]
        return [(value, code) for value, _, code in rows]

    yield read_column
    con.close()


TEXT = Column("note", "text", "备注")
NAME = Column("name", "text", "姓名", required=True)
YUAN = Column("paid", "money", "金额", unit="yuan", min=0)
FEN = Column("paid", "money", "金额", unit="fen")
COUNT = Column("pieces", "integer", "数量", min=1, max=10)


def spoken(value):
    text = unicodedata.normalize("NFKC", value).strip(TRIMMED)
    return text or None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0")), max_size=20))
def test_text_is_nfkc_and_trimmed_like_unicodedata_says(read, values):
    assert [value for value, _ in read(TEXT, values)] == [spoken(value) for value in values]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(alphabet=" \u3000\t\n，。（）Ａａ1a中①é́ᄀ가 ", max_size=6), max_size=30))
def test_text_of_tricky_characters_is_read_the_same_twice(read, values):
    once = [value for value, _ in read(TEXT, values)]

    assert once == [spoken(value) for value in values]
    assert [value for value, _ in read(TEXT, once)] == once


def test_characters_taken_for_plain_are_left_alone_by_nfkc():
    # The database's spelling of a character, \x{4E00}, in Python's.
    spelt = re.sub(r"\\x\{([0-9A-F]+)\}", lambda match: chr(int(match[1], 16)), PLAIN_CHARACTERS)
    plain = re.compile(f"[{spelt}]")

    for point in range(0x10000):
        if not 0xD800 <= point < 0xE000 and plain.match(chr(point)):
            assert unicodedata.normalize("NFKC", chr(point)) == chr(point)


def test_wide_marks_become_what_nfkc_makes_of_them():
    assert unicodedata.normalize("NFKC", WIDE_MARKS) == NARROW_MARKS


def test_blank_characters_are_exactly_those_of_which_nothing_is_left():
    blank = re.compile(f"[{BLANK_CHARACTERS}]")

    found = {chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000 and blank.match(chr(point))}

    assert found == {
        chr(point)
        for point in range(0x110000)
        if not 0xD800 <= point < 0xE000 and not unicodedata.normalize("NFKC", chr(point)).strip(TRIMMED)
    }


def test_a_required_text_of_blanks_only_is_missing(read):
    assert read(NAME, ["王丽", "\u3000 ", "", None]) == [("王丽", None)] + [(None, "missing_required")] * 3


def test_a_nul_character_in_text_is_told(read):
    assert read(TEXT, ["a\0b"]) == [("a\0b", "nul_character")]


def yuan_in_fen(text):
    """What the contract says about an amount in yuan, told a second time with Python's decimals."""
    plain = unicodedata.normalize("NFKC", text).strip(TRIMMED)
    if not plain:
        return None, None
    if not re.fullmatch(r"[+-]?[0-9]+([.][0-9]*)?", plain, re.ASCII):
        return None, "not_a_number"
    fen = Decimal(plain) * 100
    if fen != fen.to_integral_value():
        return None, "too_many_decimals"
    if abs(fen) > 10**15 - 1:
        return None, "out_of_range"
    return (int(fen), None) if fen >= 0 else (int(fen), "out_of_range")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.decimals(min_value=-1000, max_value=10**14, places=3).map(str)
        | st.from_regex(r"[+-]?[0-9０-９]{0,4}[.]?[0-9]{0,4}", fullmatch=True)
        | st.text(alphabet="0123456789.,-+eE ", max_size=8),
        max_size=30,
    )
)
def test_yuan_become_fen_exactly_or_not_at_all(read, values):
    assert read(YUAN, values) == [yuan_in_fen(value) for value in values]


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        (YUAN, "12.50", (1250, None)),
        (YUAN, "12.500", (1250, None)),
        (YUAN, "1,234.50", (None, "not_a_number")),
        (YUAN, "￥12", (None, "not_a_number")),
        (FEN, "1250", (1250, None)),
        (FEN, "12.5", (None, "not_a_whole_fen")),
        (FEN, "很多", (None, "not_a_number")),
        (FEN, "9223372036854775808", (None, "out_of_range")),
        (COUNT, "１０", (10, None)),
        (COUNT, "3.0", (3, None)),
        (COUNT, "1.5", (None, "not_an_integer")),
        (COUNT, "1e1", (None, "not_an_integer")),
        (COUNT, "两颗", (None, "not_an_integer")),
        (COUNT, "11", (11, "out_of_range")),
        (Column("b", "boolean", "是否"), "TRUE", (True, None)),
        (Column("b", "boolean", "是否"), " 否 ", (False, None)),
        (Column("b", "boolean", "是否"), "也许", (None, "bad_boolean")),
        (Column("d", "date", "日期"), "2026-11-20", (date(2026, 11, 20), None)),
        (Column("d", "date", "日期"), "2026-11-20 00:00:00", (date(2026, 11, 20), None)),
        (Column("d", "date", "日期"), "2026-11-20 08:00:00", (None, "bad_date")),
        (Column("d", "date", "日期"), "2026-02-30", (None, "bad_date")),
        (Column("d", "date", "日期"), "infinity", (None, "bad_date")),
        (Column("d", "date", "日期", min=date(1900, 1, 1)), "1899-12-31", (date(1899, 12, 31), "out_of_range")),
        (Column("t", "datetime", "时间"), "infinity", (None, "bad_datetime")),
        (Column("t", "datetime", "时间"), "昨天", (None, "bad_datetime")),
        (Column("o", "option", "选项", allowed=("A(旧)", "微信")), "Ａ（旧） ", ("A(旧)", None)),
        (Column("o", "option", "选项", allowed=("A(旧)", "微信")), "支付宝", (None, "not_in_allowed")),
        (Column("l", "options", "列表"), "16|26||Ａ", (["16", "26", "A"], None)),
        (Column("l", "options", "列表"), '["16", null, " "]', (["16"], None)),
        (Column("l", "options", "列表"), "[]", (None, None)),
        (Column("l", "options", "列表"), "[16", (None, "bad_list")),
        (Column("l", "options", "列表", required=True), "|", (None, "missing_required")),
        (Column("l", "options", "列表", allowed=("a", "b")), "a|c", (["a", "c"], "not_in_allowed")),
    ],
)
def test_a_value_is_read_as_its_contract_says(read, column, value, expected):
    assert read(column, [value]) == [expected]


def test_a_moment_without_offset_is_in_the_tenants_zone(read):
    column = Column("t", "datetime", "时间")

    values = [
        value for value, _ in read(column, ["2026-11-20 08:00:00", "2026-11-20T00:00:00Z", "1988-07-01 00:00:00"])
    ]

    assert [value.astimezone(UTC) for value in values] == [
        datetime(2026, 11, 20, tzinfo=UTC),
        datetime(2026, 11, 20, tzinfo=UTC),
        datetime(1988, 6, 30, 15, tzinfo=UTC),
    ]


def test_typed_columns_of_parquet_are_read_without_their_spelling(read):
    assert read(COUNT, [3, 11, None], "INTEGER") == [(3, None), (11, "out_of_range"), (None, None)]
    assert read(YUAN, [0.1, 12.345], "DOUBLE") == [(10, None), (None, "too_many_decimals")]
    assert read(YUAN, [Decimal("12.50")], "DECIMAL(10, 2)") == [(1250, None)]
    assert read(Column("l", "options", "列表"), [["Ａ", None], []], "VARCHAR[]") == [(["A"], None), (None, None)]


def test_lateness_is_told_from_the_windows_start_and_the_future_from_its_end(read):
    events = load_contracts()["mini_program", "events"]
    window = Window(datetime(2026, 1, 1, tzinfo=ZONE), datetime(2027, 1, 1, tzinfo=ZONE))
    bounds = arrival_bounds(events, window)
    moments = [window.start - timedelta(days=60, seconds=1), window.start - timedelta(days=60),
               window.end + timedelta(days=1), window.end + timedelta(days=1, seconds=1)]  # fmt: skip

    codes = [code for _, code in read(events.column("occurred_at"), [m.isoformat() for m in moments], bounds=bounds)]

    assert codes == ["too_late", None, None, "from_the_future"]


def test_a_version_is_never_too_late_but_may_come_from_the_future(read):
    phones = load_contracts()["saas", "patient_phones"]
    window = Window(datetime(2026, 11, 20, tzinfo=ZONE), datetime(2026, 11, 21, tzinfo=ZONE))
    bounds = arrival_bounds(phones, window)
    moments = ["2015-03-01", "2026-11-22", "2026-11-22 00:00:01"]

    codes = [code for _, code in read(phones.column("updated_at"), moments, bounds=bounds)]

    assert codes == [None, None, "from_the_future"]
