"""Large batches stay the files they were staged to; what a raw table shows does not depend on that."""

import shutil

import pytest

from pipelines.ingest.contracts import load_contracts
from pipelines.settings import PipelineSettings
from pipelines.warehouse import segments
from pipelines.warehouse.connection import connect_warehouse, ensure_ingest_schema
from pipelines.warehouse.landing import discover
from pipelines.warehouse.load import ingest_all, ingest_batch
from tests.ingest.factory import EVENTS, PHONES, csv_text, event, jsonl_text, land, phone

NUMBERS = "select patient_phone_id, phone, _batch_id from raw.saas__patient_phones order by all"
TAIL = "select count(*) from raw_tail.saas__patient_phones"
BEATEN = "select patient_phone_id, _batch_id from raw_beaten.saas__patient_phones order by all"


@pytest.fixture(autouse=True)
def two_rows_are_large(monkeypatch):
    monkeypatch.setattr(segments, "SEGMENT_ROWS", 2)


def files(settings):
    return sorted(file for file in (settings.folders.build / "raw").rglob("*") if file.is_file())


def load_phones(settings, con, parser, batch_id, *rows):
    land(settings, PHONES, csv_text(rows), batch_id=batch_id, rows=len(rows))
    (batch,) = [batch for batch in discover(settings.folders) if batch.batch_id == batch_id]
    return ingest_batch(con, settings, batch, parser=parser)


def test_a_large_batch_stays_a_file_and_a_small_one_goes_to_the_tail(settings, con, parser):
    load_phones(settings, con, parser, "a", phone("K1", "1"), phone("K2", "2"))
    load_phones(settings, con, parser, "b", phone("K3", "3"))

    assert con.execute(NUMBERS).fetchall() == [("K1", "1", "a"), ("K2", "2", "a"), ("K3", "3", "b")]
    assert con.execute(TAIL).fetchone() == (1,)
    assert [str(file.relative_to(settings.folders.build)) for file in files(settings)] == [
        "raw/saas__patient_phones/a/0.parquet"
    ]


def test_a_newer_row_in_the_tail_hides_the_segments_row(settings, con, parser):
    load_phones(settings, con, parser, "a", phone("K1", "1"), phone("K2", "2"), phone("K3", "3"))
    result = load_phones(settings, con, parser, "b", phone("K1", "4", updated_at="2026-11-20 09:00:00"))

    assert con.execute(NUMBERS).fetchall() == [("K1", "4", "b"), ("K2", "2", "a"), ("K3", "3", "a")]
    assert con.execute(BEATEN).fetchall() == [("K1", "a")]
    assert result.superseded == 0
    assert con.execute("select superseded_rows from ingest.batch where batch_id = 'a'").fetchone() == (1,)


def test_a_segments_older_row_never_shows(settings, con, parser):
    load_phones(settings, con, parser, "a", phone("K1", "4", updated_at="2026-11-20 09:00:00"))
    result = load_phones(settings, con, parser, "b", phone("K1", "1"), phone("K2", "2"))

    assert con.execute(NUMBERS).fetchall() == [("K1", "4", "a"), ("K2", "2", "b")]
    assert result.superseded == 1


def test_repeated_and_refused_rows_of_a_large_batch_do_not_show(settings, con, parser):
    result = load_phones(
        settings,
        con,
        parser,
        "a",
        phone("K1", "1"),
        phone("K2", "2") | {"relation": "邻居"},
        phone("K1", "5", updated_at="2026-11-20 10:00:00"),
        phone("K3", "3"),
    )

    assert con.execute(NUMBERS).fetchall() == [("K1", "5", "a"), ("K3", "3", "a")]
    assert (result.loaded, result.rejected, result.superseded) == (3, 1, 1)
    assert con.execute(TAIL).fetchone() == (0,)


def test_a_mostly_beaten_segment_is_written_anew_without_its_beaten_rows(settings, con):
    rows = [phone(f"K{number}", "1") for number in range(4)]
    newer = [phone(f"K{number}", "2", updated_at="2026-11-20 09:00:00") for number in range(3)]
    land(settings, PHONES, csv_text(rows), batch_id="a", rows=4)
    ingest_all(con, settings, discover(settings.folders))
    (before,) = files(settings)
    land(settings, PHONES, csv_text(newer), batch_id="b", rows=3)

    ingest_all(con, settings, discover(settings.folders))

    assert con.execute(NUMBERS).fetchall() == [("K0", "2", "b"), ("K1", "2", "b"), ("K2", "2", "b"), ("K3", "1", "a")]
    assert con.execute(BEATEN).fetchall() == []
    assert con.execute("select batch_id, rows from ingest.segment order by all").fetchall() == [("a", 1), ("b", 3)]
    assert not before.exists()
    land(settings, PHONES, csv_text([phone("K3", "3", updated_at="2026-11-20 09:00:00")]), batch_id="c", rows=1)
    ingest_all(con, settings, discover(settings.folders))
    assert ("K3", "3", "c") in con.execute(NUMBERS).fetchall()


def test_files_that_no_ledger_knows_are_removed_by_the_next_night(settings, con):
    land(settings, EVENTS, jsonl_text([event("E1"), event("E2")]), batch_id="a", rows=2, form="jsonl")
    ingest_all(con, settings, discover(settings.folders))
    stray = settings.folders.build / "raw" / "saas__patient_phones" / "killed" / "0.parquet"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"half a file")

    ingest_all(con, settings, discover(settings.folders))

    assert not stray.parent.exists()
    assert con.execute("select count(*) from raw.mini_program__events").fetchone() == (2,)


def test_a_failing_transaction_leaves_no_segment_behind(settings, con, parser, monkeypatch):
    monkeypatch.setattr("pipelines.warehouse.load.write_entry", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        load_phones(settings, con, parser, "a", phone("K1", "1"), phone("K2", "2"))
    monkeypatch.undo()
    monkeypatch.setattr(segments, "SEGMENT_ROWS", 2)

    assert con.execute(NUMBERS).fetchall() == []
    ingest_all(con, settings, discover(settings.folders))
    assert con.execute(NUMBERS).fetchall() == [("K1", "1", "a"), ("K2", "2", "a")]


def test_a_contract_that_grew_gives_the_rows_of_segments_a_null(settings, con, parser):
    load_phones(settings, con, parser, "a", phone("K1", "1"), phone("K2", "2"))
    con.execute("alter table raw_tail.saas__patient_phones drop column is_deleted")
    con.execute("update ingest.segment set columns = list_filter(columns, lambda name: name <> 'is_deleted')")

    ensure_ingest_schema(con, settings.folders, [load_contracts()[PHONES]])

    load_phones(settings, con, parser, "b", phone("K3", "3") | {"is_deleted": "true"}, phone("K4", "4"))
    assert con.execute("select patient_phone_id, is_deleted from raw.saas__patient_phones order by all").fetchall() == [
        ("K1", None),
        ("K2", None),
        ("K3", True),
        ("K4", None),
    ]


def test_a_data_directory_that_moved_shows_the_same_rows(tmp_path):
    settings = PipelineSettings(data_dir=tmp_path / "data")
    land(settings, EVENTS, jsonl_text([event("E1"), event("E2")]), batch_id="a", rows=2, form="jsonl")
    with connect_warehouse(settings) as con:
        ensure_ingest_schema(con, settings.folders)
        ingest_all(con, settings, discover(settings.folders))
    shutil.move(tmp_path / "data", tmp_path / "moved")
    moved = PipelineSettings(data_dir=tmp_path / "moved")

    with connect_warehouse(moved) as con:
        ensure_ingest_schema(con, moved.folders)
        assert con.execute("select event_id from raw.mini_program__events order by all").fetchall() == [
            ("E1",),
            ("E2",),
        ]
