"""What both writers promise: progress, order, stopping, whole files or none, little memory."""

import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from api.exports.csv import write_csv
from api.exports.rows import CHUNK_ROWS
from api.exports.sheet import Column
from api.exports.xlsx import write_xlsx
from tests.api.exports.readers import SHANGHAI, calamine_rows, csv_rows, session

COLUMNS = (Column("number", "序号", "integer"), Column("note", "备注", "text"))
ROWS = "select range as number, md5(range::varchar) as note from range($rows)"

Write = Callable[..., int]
both = pytest.mark.parametrize("write", [write_xlsx, write_csv])


class StoppedError(Exception):
    """The user pressed cancel."""


def stop_after(rows: int) -> Callable[[int], None]:
    def on_progress(written: int) -> None:
        if written > rows:
            raise StoppedError

    return on_progress


def export(write: Write, file: Any, query: str = ROWS, values: Any = None, on_progress: Any = lambda rows: None) -> int:
    values = {"rows": 5 * CHUNK_ROWS} if values is None else values
    with session() as connection:
        return write(file, connection, query, values, COLUMNS, timezone=SHANGHAI, on_progress=on_progress)


@both
def test_progress_counts_up_to_the_rows_written(write: Write) -> None:
    told: list[int] = []

    written = export(write, io.BytesIO(), values={"rows": 2 * CHUNK_ROWS + 7}, on_progress=told.append)

    assert told == [CHUNK_ROWS, 2 * CHUNK_ROWS, 2 * CHUNK_ROWS + 7]
    assert written == told[-1]


@both
def test_no_rows_are_no_progress(write: Write) -> None:
    told: list[int] = []

    assert export(write, io.BytesIO(), values={"rows": 0}, on_progress=told.append) == 0
    assert told == []


@both
def test_a_stopped_export_leaves_nothing(write: Write, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        export(write, tmp_path / "export", on_progress=stop_after(2 * CHUNK_ROWS))

    assert list(tmp_path.iterdir()) == []


@both
def test_a_stopped_export_keeps_the_file_that_was_there(write: Write, tmp_path: Path) -> None:
    file = tmp_path / "export"
    export(write, file)
    before = file.read_bytes()

    with pytest.raises(StoppedError):
        export(write, file, on_progress=stop_after(0))

    assert list(tmp_path.iterdir()) == [file]
    assert file.read_bytes() == before


@both
def test_a_query_that_fails_on_the_way_leaves_nothing(write: Write, tmp_path: Path) -> None:
    query = "select if(number < 50000, number, error('bad row')) as number, '' as note from range(60000) as r (number)"

    with pytest.raises(duckdb.Error, match="bad row"):
        export(write, tmp_path / "export", query, {})

    assert list(tmp_path.iterdir()) == []


@both
def test_the_cursor_can_be_used_again_after_a_stop(write: Write) -> None:
    with session() as connection:
        with pytest.raises(StoppedError):
            write(
                io.BytesIO(), connection, ROWS, {"rows": 100_000}, COLUMNS, timezone=SHANGHAI, on_progress=stop_after(0)
            )

        assert connection.execute("select 42").fetchall() == [(42,)]


@both
def test_rows_come_in_the_querys_order(write: Write) -> None:
    file = io.BytesIO()

    export(write, file, "select range as number, '' as note from range(300000) order by hash(range)", {})

    with session() as connection:
        expected = [
            number
            for (number,) in connection.execute("select range from range(300000) order by hash(range)").fetchall()
        ]
    rows = calamine_rows(file.getvalue()) if write is write_xlsx else csv_rows(file.getvalue())[1:]
    assert [int(row[0]) for row in rows] == expected


@both
def test_memory_does_not_grow_with_the_rows(write: Write, tmp_path: Path) -> None:
    def peak_bytes(rows: int) -> int:
        tracemalloc.start()
        try:
            export(write, tmp_path / "export", values={"rows": rows})
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_bytes(CHUNK_ROWS)  # imports and caches

    assert peak_bytes(100 * CHUNK_ROWS) < 1.5 * peak_bytes(5 * CHUNK_ROWS)


@pytest.mark.parametrize("name", ["a b", 'a"', "Größe", "1a", "", "a;drop table x", "note\n"])
def test_a_column_name_that_is_no_plain_identifier_is_our_bug(name: str) -> None:
    with pytest.raises(AssertionError, match="plain identifier"):
        Column(name, "备注", "text")


@both
def test_values_are_bound(write: Write) -> None:
    file = io.BytesIO()

    export(write, file, "select 1 as number, $note as note", {"note": "'; drop table x; --"})

    rows = calamine_rows(file.getvalue()) if write is write_xlsx else csv_rows(file.getvalue())[1:]
    assert rows[0][1] == "'; drop table x; --"
