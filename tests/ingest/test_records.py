import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.ingest.records import csv_records, json_records


def read(content, columns=3):
    return [(record.line, record.fault) for record in csv_records(io.BytesIO(content), columns=columns)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a,b,c\n1,2,3\n", [(1, None), (2, None)]),
        (b"a,b,c\r\n1,2,3\r\n", [(1, None), (2, None)]),
        (b"a,b,c\n1,2,3", [(1, None), (2, None)]),
        (b"\xef\xbb\xbfa,b,c\n1,2,3\n", [(1, None), (2, None)]),
        (b"a,b,c\n\n1,2,3\n\n", [(1, None), (3, None)]),
        (b'a,b,c\n1,"x\ny\nz",3\n4,5,6\n', [(1, None), (2, None), (5, None)]),
        (b'a,b,c\n1,"x""y",3\n', [(1, None), (2, None)]),
        (b'a,b,c\n1,x"y,3\n4,5,6\n', [(1, None), (2, None), (3, None)]),
        (b"a,b,c\n1,2,3,\n", [(1, None), (2, None)]),
        (b"a,b,c\n1,2\n3,4,5\n", [(1, None), (2, "wrong_column_count"), (3, None)]),
        (b"a,b,c\n1,2,3,4\n", [(1, None), (2, "wrong_column_count")]),
        (b'a,b,c\n1,"2,3\n4,5,6\n', [(1, None), (2, "broken_quotes"), (3, None)]),
        (b'a,b,c\n1,"2,3\n4,"5",6\n7,8,9\n', [(1, None), (2, "broken_quotes"), (3, None), (4, None)]),
        (b'a,b,c\n1,"2"x,3\n4,5,6\n', [(1, None), (2, "broken_quotes"), (3, None)]),
        (b"a,b,c\n1,\xff,3\n4,5,6\n", [(1, None), (2, "bad_encoding"), (3, None)]),
        (b"a,b,c\n1,\xed\xa0\x80,3\n", [(1, None), (2, "bad_encoding")]),
        (b"", []),
    ],
)
def test_records_stand_where_the_file_shows_them_and_one_broken_record_costs_one_row(content, expected):
    assert read(content) == expected


def test_many_stray_quotes_do_not_make_reading_slow():
    content = b"a,b,c\n" + b'1,"2,3\n' * 3000

    records = read(content)

    assert len(records) == 3001


cells = st.text(alphabet='ab,"\n\r 中', max_size=4)


@given(st.lists(st.lists(cells, min_size=2, max_size=2), min_size=1, max_size=6))
def test_what_a_csv_writer_writes_is_read_back_record_by_record(rows):
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows(rows)
    content = sink.getvalue().encode()

    records = list(csv_records(io.BytesIO(content), columns=2))

    assert [record.fault for record in records] == [None] * len(rows)
    assert b"".join(record.content for record in records) == content
    for record in records:
        assert record.line == 1 + content[: record.offset].count(b"\n")
        assert content[record.offset :].startswith(record.content)


def test_json_lines_keep_their_numbers_past_blank_lines():
    records = list(json_records(io.BytesIO(b'{"a":1}\n\n  \r\n{"a":2}\n\xff\n')))

    assert [(record.line, record.fault) for record in records] == [(1, None), (4, None), (5, "bad_encoding")]
