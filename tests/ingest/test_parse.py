"""What the parser makes of whole files, without its process."""

import codecs
import json
import unicodedata
from datetime import date, datetime

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pipelines.ingest.parse as parse_module
from pipelines.ingest.contracts import load_contracts
from pipelines.ingest.sandbox import Sandboxes
from tests.ingest.factory import EVENTS, PHONES, ZONE, csv_text, event, jsonl_text, parsed, phone, request_for

HEADER = "patient_phone_id,patient_id,phone,relation,is_primary,updated_at\n"
GOOD = "K{0},P1,13800001111,本人,是,2026-11-20 08:00:00\n"


def places(result):
    return [(line, column, code) for line, column, code, _, _ in result.rejects]


def test_good_rows_are_typed_and_missing_optional_columns_are_null(tmp_path):
    result = parsed(tmp_path, csv_text([phone("K1", " １３８００００１１１１ ")]))

    assert (result.reply.good, result.reply.rejected) == (1, 0)
    row = result.rows[0]
    assert (row["phone"], row["is_primary"], row["is_deleted"]) == ("13800001111", True, None)
    assert row["updated_at"].astimezone(ZONE) == datetime(2026, 11, 20, 8, tzinfo=ZONE)


def test_columns_are_found_by_name_in_any_order_and_unknown_ones_are_reported(tmp_path):
    rows = [{"queue_no": "A1", **dict(reversed(phone("K1").items())), "另一列": "x"}]

    result = parsed(tmp_path, csv_text(rows))

    assert result.reply.unknown_columns == ("queue_no", "另一列")
    assert result.rows[0]["patient_phone_id"] == "K1"


def test_a_missing_required_column_refuses_the_file(tmp_path):
    rows = [{key: value for key, value in phone("K1").items() if key != "relation"}]

    for content, form in ((csv_text(rows), "csv"), (jsonl_text(rows), "jsonl")):
        problem = parsed(tmp_path, content, form).reply.problem

        assert problem is not None
        assert problem.code == "missing_column"
        assert "relation" in problem.message_en


def test_a_repeated_column_refuses_the_file(tmp_path):
    content = csv_text([phone("K1")]).replace("patient_id", "phone")

    problem = parsed(tmp_path, content).reply.problem

    assert problem is not None
    assert problem.code in {"missing_column", "duplicate_column"}


def test_refused_rows_tell_the_line_as_an_editor_shows_it(tmp_path):
    content = (
        HEADER
        + GOOD.format(1)
        + '\nK2,"P\n1",13800001111,邻居,是,2026-11-20 08:00:00\n'
        + GOOD.format(3)
        + "K4,P1,,本人,是,很久以前\n"
        + "K5,P1\n"
        + 'K6,P1,"138,本人,是,2026-11-20 08:00:00\n'
        + GOOD.format(7)
    )

    result = parsed(tmp_path, content)

    assert [row["patient_phone_id"] for row in result.rows] == ["K1", "K3", "K7"]
    assert (result.reply.good, result.reply.rejected) == (3, 4)
    assert places(result) == [
        (4, "relation", "not_in_allowed"),
        (7, "phone", "missing_required"),
        (7, "updated_at", "bad_datetime"),
        (8, None, "malformed_row"),
        (9, None, "malformed_row"),
    ]
    assert result.rejects[0][4] == 'K2,"P\n1",13800001111,邻居,是,2026-11-20 08:00:00'
    assert [value for *_, code, value, _ in result.rejects if code == "malformed_row"] == [
        "wrong_column_count",
        "broken_quotes",
    ]


def test_a_repaired_quarantine_row_can_be_sent_again(tmp_path):
    content = HEADER + GOOD.format(1) + 'K2,P1,"138 ""家""",邻居,是,2026-11-20 08:00:00\n'
    spelt = parsed(tmp_path, content).rejects[0][4]

    again = parsed(tmp_path, HEADER + spelt.replace("邻居", "其他") + "\n")

    assert again.rows[0]["phone"] == '138 "家"'


@pytest.mark.parametrize(
    ("encoding", "declared", "line_end"),
    [
        ("utf-8", None, "\r\n"),
        ("utf-8", None, "\r"),
        ("utf-8-sig", None, "\n"),
        ("utf-8-sig", "utf-8", "\r\n"),
        ("gb18030", None, "\r\n"),
        ("gb18030", None, "\r"),
        ("gb18030", "gb18030", "\n"),
        ("utf-16", None, "\r\n"),
        ("utf-16", "utf-16", "\n"),
    ],
)
def test_the_same_file_in_any_encoding_gives_the_same_rows(tmp_path, encoding, declared, line_end):
    text = csv_text([phone("K1", "龔小姐𠮷"), phone("K2", "陈先生")]) + "K3,P1,王,邻居,是,2026-11-20 08:00:00\n"
    plain = parsed(tmp_path, text)

    result = parsed(tmp_path, text.replace("\n", line_end).encode(encoding), encoding=declared)

    assert result.rows == plain.rows
    assert [reject[:4] for reject in result.rejects] == [reject[:4] for reject in plain.rejects]
    guessed = declared is None and not encoding.startswith("utf-8")
    assert result.reply.guessed_encoding == (encoding if guessed else None)


def test_gb18030_that_begins_with_much_ascii_is_still_recognised(tmp_path):
    content = HEADER.encode()
    content += b"".join(f"K{number},P1,1380000,,1,2026-11-20 08:00:00\n".encode() for number in range(9000))
    content += "K9999,P1,王丽,本人,是,2026-11-20 08:00:00\n".encode("gb18030")

    result = parsed(tmp_path, content)

    assert result.reply.guessed_encoding == "gb18030"
    assert [row["phone"] for row in result.rows] == ["王丽"]
    assert result.reply.rejected == 9000


def test_one_broken_line_leaves_a_file_utf_8(tmp_path):
    content = (HEADER + GOOD.format(1) + GOOD.format(2)).encode() + b"K3,P1,\xff\xfe,\xe6\x9c,1,2026-11-20 08:00:00\n"

    result = parsed(tmp_path, content)

    assert result.reply.guessed_encoding is None
    assert [row["patient_phone_id"] for row in result.rows] == ["K1", "K2"]
    assert [reject[:4] for reject in result.rejects] == [(4, None, "malformed_row", "bad_encoding")]


def test_broken_bytes_of_a_gb18030_file_cost_their_row_only(tmp_path):
    content = (HEADER + GOOD.format(1)).encode("gb18030") + b"K2,P1,\xff\xff,\xb1\xbe,1,2026-11-20 08:00:00\n"

    result = parsed(tmp_path, content, encoding="gb18030")

    assert [row["patient_phone_id"] for row in result.rows] == ["K1"]
    assert [reject[:4] for reject in result.rejects] == [(3, None, "malformed_row", "bad_encoding")]


def test_nul_characters_are_quarantined_in_every_format(tmp_path):
    bad = phone("K2", "138\x0000")
    table = pa.Table.from_pylist([phone("K1"), bad])
    pq.write_table(table, tmp_path / "nul.parquet")

    results = [
        parsed(tmp_path, csv_text([phone("K1")]) + "K2,P1,138\x0000,本人,是,2026-11-20 08:00:00\n"),
        parsed(tmp_path, jsonl_text([phone("K1"), bad]), "jsonl"),
        parsed(tmp_path, (tmp_path / "nul.parquet").read_bytes(), "parquet"),
    ]

    for result in results:
        assert [row["patient_phone_id"] for row in result.rows] == ["K1"]
        assert [code for _, _, code, _, _ in result.rejects] == ["nul_character"]


def test_json_lines_carry_nulls_numbers_booleans_and_lists(tmp_path):
    row = phone("K1", 13800001111) | {"is_primary": True, "is_deleted": None, "extra": {"a": [1]}}

    result = parsed(tmp_path, jsonl_text([row]), "jsonl")

    assert result.reply.unknown_columns == ("extra",)
    assert (result.rows[0]["phone"], result.rows[0]["is_primary"]) == ("13800001111", True)


def test_broken_json_lines_cost_one_row_each(tmp_path):
    lines = [
        json.dumps(event("E1")),
        '{"event_id": "E2", "app_id"',
        "",
        "[1, 2]",
        '{"event_id": "E3"} {"event_id": "E4"}',
        '{"event_id": "\\ud800"}',
        json.dumps(event("E5")),
        json.dumps(event("E6", amount=1.5)),
    ]

    result = parsed(tmp_path, "\n".join(lines) + "\n", "jsonl", EVENTS)

    assert [row["event_id"] for row in result.rows] == ["E1", "E5"]
    assert places(result) == [
        (2, None, "malformed_row"),
        (4, None, "malformed_row"),
        (5, None, "malformed_row"),
        (6, None, "malformed_row"),
        (8, "amount", "not_a_whole_fen"),
    ]


def test_parquet_rows_are_numbered_from_one_and_spelt_as_json(tmp_path):
    rows = [phone(f"K{number}") for number in range(3)]
    rows[1]["relation"] = "邻居"
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "typed.parquet")

    result = parsed(tmp_path, (tmp_path / "typed.parquet").read_bytes(), "parquet")

    assert places(result) == [(2, "relation", "not_in_allowed")]
    assert json.loads(result.rejects[0][4])["patient_phone_id"] == "K1"


def test_parquet_with_real_types_gives_the_rows_of_its_text_twin(tmp_path):
    moment = datetime(2026, 11, 20, 8, tzinfo=ZONE)
    typed = event("E1", occurred_at=moment, duration_seconds=3)
    pq.write_table(pa.Table.from_pylist([typed]), tmp_path / "typed.parquet")

    from_parquet = parsed(tmp_path, (tmp_path / "typed.parquet").read_bytes(), "parquet", EVENTS)
    from_text = parsed(tmp_path, jsonl_text([event("E1", duration_seconds=3)]), "jsonl", EVENTS)

    assert [row | {"_row": None} for row in from_parquet.rows] == [row | {"_row": None} for row in from_text.rows]


def test_a_workbook_is_read_as_the_spreadsheet_shows_it(tmp_path):
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(list(phone("K1")))
    sheet.append(["K1", "P1", 13800001111, "本人", True, datetime(2026, 11, 20, 8)])
    sheet.append([None] * 6)
    sheet.append(["K2", "P1", "13800001111", "邻居", "否", "2026-11-20 08:00:00"])
    sheet.append(["K3", 12.0, 0.1 + 0.2, "本人", 0, date(2026, 11, 20)])
    book.save(tmp_path / "book.xlsx")

    result = parsed(tmp_path, (tmp_path / "book.xlsx").read_bytes(), "xlsx")

    assert [(row["patient_phone_id"], row["patient_id"], row["phone"]) for row in result.rows] == [
        ("K1", "P1", "13800001111"),
        ("K3", "12", "0.3"),
    ]
    assert places(result) == [(4, "relation", "not_in_allowed")]


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
@pytest.mark.parametrize("content", [b"", b"PAR1\x00\x00PAR1", codecs.BOM_UTF8, b"\x00" * 100, b"PK\x03\x04" * 9])
def test_rubbish_is_an_answer_and_never_a_crash(tmp_path, form, content):
    result = parsed(tmp_path, content, form)

    assert result.reply.problem is not None or result.reply.good == 0


def test_the_parser_reads_no_file_outside_its_folders(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside.parquet"
    inside.mkdir()
    pq.write_table(pa.Table.from_pylist([phone("K1")]), outside)
    request = request_for(inside, outside, "parquet", load_contracts()[PHONES])

    reply = parse_module.parse_file(request, Sandboxes())

    assert reply.problem is not None
    assert reply.problem.code == "unreadable_file"


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_the_fast_way_and_the_ordered_way_agree(tmp_path, form):
    rows = [phone(f"K{number}", f"号码,{number}\n{number % 7}") for number in range(400)]
    rows[123]["relation"], rows[321]["phone"] = "邻居", " "
    content = csv_text(rows) if form == "csv" else jsonl_text(rows)

    ordered = parsed(tmp_path, content, form, threads=1)
    fast = parsed(tmp_path, content, form, threads=2)

    assert not fast.reply.numbered
    assert ordered.reply.numbered
    assert fast.rejects == ordered.rejects
    key = "patient_phone_id"
    assert sorted((row | {"_row": 0} for row in fast.rows), key=lambda row: row[key]) == sorted(
        (row | {"_row": 0} for row in ordered.rows), key=lambda row: row[key]
    )


fields = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(fields, min_size=1, max_size=8))
def test_any_text_comes_through_csv_and_json_lines_alike(tmp_path, texts):
    rows = [phone(f"K{number}", text) for number, text in enumerate(texts)]

    from_csv = parsed(tmp_path, csv_text(rows, quote_all=True))
    from_json = parsed(tmp_path, jsonl_text(rows), "jsonl")

    expected = {
        f"K{number}": unicodedata.normalize("NFKC", text).strip(" \t\n\x0b\x0c\r\u200b\ufeff\u2028\u2029")
        for number, text in enumerate(texts)
    }
    for result in (from_csv, from_json):
        assert {row["patient_phone_id"]: row["phone"] for row in result.rows} == {
            key: text for key, text in expected.items() if text
        }
        assert result.reply.rejected == sum(not text for text in expected.values())
