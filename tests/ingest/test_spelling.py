"""What the bytes of a CSV file prove about its values holds for each of them."""

import csv
import io
import unicodedata

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.ingest.contracts import Contract, load_contracts
from pipelines.ingest.normalise import TRIMMED
from pipelines.ingest.parse import parse_file
from pipelines.ingest.sandbox import Sandboxes
from pipelines.ingest.spelling import Spelling, csv_spelling
from tests.ingest.factory import PHONES, csv_text, phone, request_for

TRICKY = st.sampled_from(
    [
        " ",
        "\t",
        "\r\n",
        "\n",
        '"',
        ",",
        "|",
        "[",
        "张",
        "(",
        "Ⅱ",
        "。",
        "—",
        "a",
        "1",
        "",
        "é",
        "\x7f",
        "\u3000",
        "\ufeff",
    ]
)
values = st.lists(TRICKY, max_size=4).map("".join) | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)


def final(value):
    return value == unicodedata.normalize("NFKC", value).strip(TRIMMED)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.lists(values, min_size=2, max_size=2), min_size=1, max_size=4), st.booleans())
@example([["", "\r"]], False)
def test_a_file_called_final_holds_no_value_that_normalising_would_change(tmp_path_factory, rows, quoted):
    sink = io.StringIO(newline="")
    csv.writer(sink, lineterminator="\n", quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL).writerows(
        [["a", "b"], *rows]
    )
    file = tmp_path_factory.mktemp("spelling", numbered=True) / "a.csv"
    file.write_bytes(sink.getvalue().encode())

    spelling = csv_spelling(file)

    # What a reader finds: a bare carriage return that ends an unquoted field is the end of a line.
    rows = list(csv.reader(io.StringIO(sink.getvalue(), newline="")))[1:]
    if spelling is Spelling.FINAL:
        assert all(final(value) for row in rows for value in row)
    if spelling is not Spelling.ANY:
        assert not any("\0" in value for row in rows for value in row)


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("a,b\n张三,2026-11-20 08:00:00\n", Spelling.FINAL),
        ('a,b\n"张,三","说“好”"\r\n', Spelling.NO_NUL),
        ('a,b,c\n1,"张,三",说“好”。\r\n', Spelling.FINAL),
        ("\ufeffa,b\n1,2\n", Spelling.FINAL),
        ("a,b\n1,2", Spelling.FINAL),
        ("a,b\n1,2 ", Spelling.NO_NUL),
        ("a,b\n 1,2\n", Spelling.NO_NUL),
        ("a, b\n1,2\n", Spelling.NO_NUL),
        ('a,b\n"1\n",2\n', Spelling.NO_NUL),
        ("a,b\n牙石Ⅱ度,2\n", Spelling.NO_NUL),
        ("a,b\n(左),2\n", Spelling.FINAL),
        ("a,b\n（左）,2\n", Spelling.NO_NUL),
        ("a,b\n\x00,2\n", Spelling.ANY),
    ],
)
def test_spelling_of_a_file(tmp_path, text, spelling):
    file = tmp_path / "a.csv"
    file.write_bytes(text.encode())

    assert csv_spelling(file) is spelling


def test_a_fault_beyond_the_first_piece_of_a_file_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.ingest.spelling.CHUNK_BYTES", 4)
    file = tmp_path / "a.csv"
    for tail, spelling in [
        ("x", Spelling.FINAL),
        (" x", Spelling.NO_NUL),
        ("\0", Spelling.ANY),
        ("Ⅱ", Spelling.NO_NUL),
    ]:
        for length in range(8):
            file.write_text("a" * length + "," + tail, encoding="utf-8")

            assert csv_spelling(file) is spelling


def test_every_character_whose_bytes_pass_is_left_alone_by_normalising():
    assert all(final(chr(code)) for code in (*range(0x21, 0x7F), *range(0x4000, 0xA000)))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["13800001111", "张三", "a|b", "[1]", "1.50", "是", "本人"]), min_size=5, max_size=5))
def test_rows_of_a_final_file_are_read_as_those_of_any_other(tmp_path_factory, cells):
    folder = tmp_path_factory.mktemp("both", numbered=True)
    row = dict(zip(phone("K"), ["K1", *cells], strict=True))
    contract: Contract = load_contracts()[PHONES]
    read = []
    for name, text in (("final", csv_text([row])), ("any", csv_text([row, phone(" ")]))):
        file = folder / f"{name}.csv"
        file.write_text(text, encoding="utf-8")
        (folder / name).mkdir()
        request = request_for(folder, file, "csv", contract, staged=folder / "staged" / f"{name}.parquet")
        reply = parse_file(request, Sandboxes())
        assert (csv_spelling(file) is Spelling.FINAL) is (name == "final")
        read.append((reply.rejected - (name == "any"), _first_row(request.staged)))
    assert read[0] == read[1]


def _first_row(staged):
    return duckdb.sql(f"from '{staged}' where _row = 1").fetchall()
