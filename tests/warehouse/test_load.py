"""What becomes of batches: loaded, unchanged or refused, with every row accounted for."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.ingest.manifest import MANIFEST_NAME, Window
from pipelines.warehouse.connection import connect_warehouse, ensure_ingest_schema
from pipelines.warehouse.landing import discover
from pipelines.warehouse.load import ingest_all, ingest_batch
from tests.ingest.factory import DAY, EVENTS, PHONES, WINDOW, csv_text, event, jsonl_text, land, landed, phone

TWO = csv_text([phone("K1"), phone("K2")])


def numbers(con):
    """key → phone, as the raw table has them."""
    return dict(con.execute("select patient_phone_id, phone from raw.saas__patient_phones").fetchall())


def codes(result):
    return [problem.code for problem in result.problems]


def ledger(con):
    cursor = con.execute("select * from ingest.batch order by all")
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def test_a_batch_is_loaded_and_every_row_accounted_for(settings, con, parser):
    bad = phone("K3") | {"relation": "邻居"}
    land(settings, PHONES, csv_text([phone("K1"), phone("K2"), bad]), rows=3)

    result = ingest_batch(con, settings, landed(settings), parser=parser)

    assert (result.status, result.manifest_rows, result.loaded, result.rejected) == ("loaded", 3, 2, 1)
    assert numbers(con) == {"K1": "13800001111", "K2": "13800001111"}
    entry = ledger(con)[0]
    assert (entry["loaded_rows"], entry["rejected_rows"], entry["manifest_rows"]) == (2, 1, 3)
    assert str(entry["business_day"]) == "2026-11-20"
    assert not settings.folders.staged.exists() or not any(settings.folders.staged.iterdir())


def test_the_same_batch_again_changes_nothing(settings, con, parser):
    land(settings, PHONES, TWO, rows=2)
    ingest_batch(con, settings, landed(settings), parser=parser)
    before = (ledger(con), con.execute("from raw.saas__patient_phones order by all").fetchall())
    parsed_before = len(parser.requests)

    result = ingest_batch(con, settings, landed(settings), parser=parser)

    assert (result.status, result.loaded) == ("unchanged", 2)
    assert len(parser.requests) == parsed_before
    assert (ledger(con), con.execute("from raw.saas__patient_phones order by all").fetchall()) == before


def test_a_batch_id_with_other_content_is_refused_and_the_first_stays(settings, con, parser):
    land(settings, PHONES, csv_text([phone("K1"), phone("K2") | {"relation": "?"}]), rows=2)
    ingest_batch(con, settings, landed(settings), parser=parser)
    quarantine = settings.folders.quarantine / "saas" / "patient_phones" / "20261120-01.csv"
    kept = quarantine.read_bytes()
    land(settings, PHONES, csv_text([phone("K9")]), rows=1)

    result = ingest_batch(con, settings, landed(settings), parser=parser)

    assert (result.status, codes(result)) == ("refused", ["batch_id_reused"])
    assert numbers(con) == {"K1": "13800001111"}
    assert [entry["status"] for entry in ledger(con)] == ["loaded", "refused"]
    assert quarantine.read_bytes() == kept


def test_a_truncated_file_is_refused_before_anything_is_parsed(settings, con, parser):
    folder = land(settings, PHONES, TWO, rows=2)
    (folder / "part-1.csv").write_text(TWO[:-30], encoding="utf-8")
    parsed_before = len(parser.requests)

    result = ingest_batch(con, settings, landed(settings), parser=parser)

    assert codes(result) == ["size_mismatch", "checksum_mismatch"]
    assert numbers(con) == {}
    assert len(parser.requests) == parsed_before


def test_a_file_of_the_same_size_with_other_bytes_is_refused(settings, con, parser):
    folder = land(settings, PHONES, TWO, rows=2)
    (folder / "part-1.csv").write_text(TWO.replace("K1", "K7"), encoding="utf-8")

    assert codes(ingest_batch(con, settings, landed(settings), parser=parser)) == ["checksum_mismatch"]


def test_rows_missing_at_the_end_of_an_intact_file_are_noticed(settings, con, parser):
    land(settings, PHONES, TWO, rows=5)

    result = ingest_batch(con, settings, landed(settings), parser=parser)

    assert codes(result) == ["row_count_mismatch"]
    assert "5" in result.problems[0].message_zh
    assert "2" in result.problems[0].message_en
    assert result.problems[0].path == "/files/0/row_count"


def test_a_missing_file_and_a_link_out_of_the_folder_are_refused(settings, con, parser, tmp_path):
    folder = land(settings, PHONES, TWO, rows=2)
    (folder / "part-1.csv").rename(tmp_path / "elsewhere.csv")
    assert codes(ingest_batch(con, settings, landed(settings), parser=parser)) == ["file_missing"]

    (folder / "part-1.csv").symlink_to(tmp_path / "elsewhere.csv")

    assert codes(ingest_batch(con, settings, landed(settings), parser=parser)) == ["file_missing"]


def test_one_refused_batch_leaves_the_rest_of_the_night_running(settings, con):
    land(settings, PHONES, csv_text([{"patient_phone_id": "K1"}]), batch_id="a", rows=1)
    land(settings, ("saas", "nobody_knows"), TWO, batch_id="b", rows=2)
    land(settings, PHONES, TWO, batch_id="c", rows=2)
    seen = []

    results = ingest_all(con, settings, discover(settings.folders), on_progress=seen.append)

    assert seen == results
    assert {result.batch_id: (result.status, codes(result)) for result in results} == {
        "a": ("refused", ["missing_column"]),
        "b": ("refused", ["unknown_table"]),
        "c": ("loaded", []),
    }


def test_a_refused_batch_is_tried_again_each_night_and_loads_once_repaired(settings, con, parser):
    folder = land(settings, PHONES, csv_text([{"patient_phone_id": "K1"}]), rows=1)
    ingest_batch(con, settings, landed(settings), parser=parser)
    refused = ledger(con)
    ingest_batch(con, settings, landed(settings), parser=parser)
    assert ledger(con) == refused
    (folder / "part-1.csv").unlink()
    land(settings, PHONES, TWO, rows=2)

    result = ingest_batch(con, settings, landed(settings), parser=parser)

    assert result.status == "loaded"
    assert [entry["status"] for entry in ledger(con)] == ["loaded"]


def test_a_refused_batch_loads_unchanged_when_only_the_file_was_late(settings, con, parser):
    folder = land(settings, PHONES, TWO, rows=2)
    (folder / "part-1.csv").rename(folder / "late")
    ingest_batch(con, settings, landed(settings), parser=parser)
    (folder / "late").rename(folder / "part-1.csv")

    result = ingest_batch(con, settings, landed(settings), parser=parser)

    assert result.status == "loaded"
    assert [entry["status"] for entry in ledger(con)] == ["loaded"]


def test_a_broken_manifest_is_refused_with_all_its_problems(settings, con, parser):
    folder = land(settings, PHONES, TWO, rows=2)
    document = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    del document["window"]
    document["row_count"] = "2"
    (folder / MANIFEST_NAME).write_text(json.dumps(document), encoding="utf-8")

    result = ingest_batch(con, settings, landed(settings), parser=parser)

    assert codes(result) == ["missing_key", "wrong_value"]
    assert ledger(con)[0]["manifest_rows"] is None


def test_second_batch_with_the_same_key_wins_by_version(settings, con, parser):
    newer = [phone("K1", "new", updated_at="2026-11-20 09:00:00")]
    land(settings, PHONES, csv_text([phone("K1", "old"), phone("K2", "kept")]), batch_id="b-older", rows=2)
    land(settings, PHONES, csv_text(newer), batch_id="a-newer", rows=1)

    results = {b.batch_id: ingest_batch(con, settings, b, parser=parser) for b in reversed(discover(settings.folders))}

    assert numbers(con) == {"K1": "new", "K2": "kept"}
    assert results["a-newer"].superseded == 0
    assert {entry["batch_id"]: entry["superseded_rows"] for entry in ledger(con)} == {"a-newer": 0, "b-older": 1}


def test_an_older_version_that_arrives_later_loses_and_still_counts_as_loaded(settings, con, parser):
    land(settings, PHONES, csv_text([phone("K1", "new", updated_at="2026-11-20 09:00:00")]), batch_id="1", rows=1)
    land(settings, PHONES, csv_text([phone("K1", "old"), phone("K2", "kept")]), batch_id="2", rows=2)

    results = [ingest_batch(con, settings, batch, parser=parser) for batch in discover(settings.folders)]

    assert numbers(con) == {"K1": "new", "K2": "kept"}
    assert (results[1].loaded, results[1].superseded) == (2, 1)


def test_of_equal_versions_the_later_window_wins_then_the_larger_batch_id(settings, con, parser):
    next_day = Window(DAY, DAY.replace(day=22))
    land(settings, PHONES, csv_text([phone("K1", "later window")]), batch_id="a", rows=1, window=next_day)
    land(settings, PHONES, csv_text([phone("K1", "batch c"), phone("K2", "batch c")]), batch_id="c", rows=2)
    land(settings, PHONES, csv_text([phone("K1", "batch b"), phone("K2", "batch b")]), batch_id="b", rows=2)

    for batch in discover(settings.folders):
        ingest_batch(con, settings, batch, parser=parser)

    assert numbers(con) == {"K1": "later window", "K2": "batch c"}


def test_within_a_batch_the_last_line_of_the_newest_version_wins(settings, con, parser):
    rows = [
        phone("K1", "first", updated_at="2026-11-20 09:00:00"),
        phone("K1", "last", updated_at="2026-11-20 09:00:00"),
        phone("K1", "older"),
        phone("K2"),
    ]
    land(settings, PHONES, csv_text(rows), rows=4)

    result = ingest_batch(con, settings, landed(settings), parser=parser)

    assert numbers(con) == {"K1": "last", "K2": "13800001111"}
    assert (result.loaded, result.superseded) == (4, 2)


def test_repeated_keys_in_a_large_file_are_settled_by_line_too(settings, con, parser, monkeypatch):
    monkeypatch.setattr("pipelines.warehouse.prepare.LARGE_FILE_BYTES", 0)
    rows = [event(f"E{number % 700}", object_name=f"第{number}行") for number in range(1000)]
    land(settings, EVENTS, jsonl_text(rows), rows=1000, form="jsonl")

    result = ingest_batch(con, settings, landed(settings), parser=parser)

    assert (result.loaded, result.superseded) == (1000, 300)
    names = dict(con.execute("select event_id, object_name from raw.mini_program__events").fetchall())
    assert names == {f"E{number % 700}": f"第{number}行" for number in range(1000)}


def test_an_event_that_is_sent_twice_is_there_once(settings, con, parser):
    land(settings, EVENTS, jsonl_text([event("E1"), event("E1")]), batch_id="1", rows=2, form="jsonl")
    land(settings, EVENTS, jsonl_text([event("E1", page="x")]), batch_id="2", rows=1, form="jsonl")

    for batch in discover(settings.folders):
        ingest_batch(con, settings, batch, parser=parser)

    assert con.execute("select event_id, page, _batch_id from raw.mini_program__events").fetchall() == [
        ("E1", "x", "2")
    ]


def test_an_empty_batch_is_loaded_with_no_rows(settings, con, parser):
    land(settings, PHONES, TWO.split("\n")[0] + "\n", batch_id="csv", rows=0)
    land(settings, EVENTS, "", batch_id="jsonl", rows=0, form="jsonl")

    results = [ingest_batch(con, settings, batch, parser=parser) for batch in discover(settings.folders)]

    assert [(result.status, result.loaded) for result in results] == [("loaded", 0), ("loaded", 0)]


def test_unknown_columns_are_reported_in_the_ledger(settings, con, parser):
    land(settings, PHONES, csv_text([phone("K1") | {"queue_no": "A1"}]), rows=1)

    result = ingest_batch(con, settings, landed(settings), parser=parser)

    assert result.unknown_columns == ("queue_no",)
    assert ledger(con)[0]["unknown_columns"] == ["queue_no"]


def test_a_phone_last_edited_years_ago_is_loaded_and_one_from_the_future_is_not(settings, con, parser):
    rows = [phone("K1", updated_at="2015-06-01 10:00:00"), phone("K2", updated_at="2026-11-23 00:00:00")]
    land(settings, PHONES, csv_text(rows), rows=2)

    result = ingest_batch(con, settings, landed(settings), parser=parser)

    assert (result.loaded, result.rejected) == (1, 1)
    assert con.execute("select code from ingest.rejection").fetchall() == [("from_the_future",)]


def test_quarantine_says_what_to_repair_where(settings, con, parser):
    rows = [phone("K1"), phone("=K2", "") | {"relation": "邻居"}, phone("K3", updated_at="2029-01-01")]
    land(settings, PHONES, csv_text(rows) + "K4,broken\n", rows=4)

    ingest_batch(con, settings, landed(settings), parser=parser)

    file = settings.folders.quarantine / "saas" / "patient_phones" / "20261120-01.csv"
    assert file.read_bytes().startswith(b"\xef\xbb\xbffile,line,column,code,")
    with file.open(encoding="utf-8-sig", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [(line["file"], line["line"], line["column"], line["code"], line["value"]) for line in lines] == [
        ("part-1.csv", "3", "phone", "missing_required", ""),
        ("part-1.csv", "3", "relation", "not_in_allowed", "邻居"),
        ("part-1.csv", "4", "updated_at", "from_the_future", "2029-01-01"),
        ("part-1.csv", "5", "", "malformed_row", "wrong_column_count"),
    ]
    assert lines[1]["reason_zh"] == "取值不在允许范围内"
    assert lines[1]["reason_en"]
    assert lines[3]["row"] == "K4,broken"
    assert lines[0]["row"].startswith("'=K2"), "a spreadsheet must not run it as a formula"
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        (" =1+1", "' =1+1"),
        ("＝1+1", "'＝1+1"),
        ("@sum", "'@sum"),
        ("-12.5", "-12.5"),
        ("邻居", "邻居"),
    ],
)
def test_no_refused_value_is_taken_for_a_formula(settings, con, parser, typed, shown):
    land(settings, PHONES, csv_text([phone("K1") | {"relation": typed}]), rows=1)

    ingest_batch(con, settings, landed(settings), parser=parser)

    file = settings.folders.quarantine / "saas" / "patient_phones" / "20261120-01.csv"
    with file.open(encoding="utf-8-sig", newline="") as stream:
        assert [line["value"] for line in csv.DictReader(stream)] == [shown]


def test_the_ledger_sums_up_refused_rows_and_masks_personal_values(settings, con, parser):
    number = "13812345678\x00"
    rows = [phone("K1") | {"relation": "邻居"}, phone("K2") | {"relation": "亲家"}]
    land(settings, PHONES, csv_text(rows) + f"K3,P1,{number},本人,是,2026-11-20 08:00:00\n", rows=3)

    ingest_batch(con, settings, landed(settings), parser=parser)

    found = con.execute("select column_name, code, rows, first_line, sample from ingest.rejection order by all")
    assert found.fetchall() == [
        ("phone", "nul_character", 1, 4, "1" + "*" * 11),
        ("relation", "not_in_allowed", 2, 2, "邻居"),
    ]


def test_many_refused_rows_stay_in_the_order_of_their_lines(settings, con, parser):
    rows = [phone(f"K{number}") | {"relation": "?" if number % 2 else "本人"} for number in range(6000)]
    land(settings, PHONES, csv_text(rows), rows=6000)

    ingest_batch(con, settings, landed(settings), parser=parser)

    file = settings.folders.quarantine / "saas" / "patient_phones" / "20261120-01.csv"
    with file.open(encoding="utf-8-sig", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [int(line["line"]) for line in lines] == list(range(3, 6002, 2))
    assert all(line["row"].startswith(f"K{int(line['line']) - 2},") for line in lines)


def test_a_failing_transaction_leaves_nothing_half_done(settings, con, parser, monkeypatch):
    land(settings, PHONES, TWO, rows=2)
    monkeypatch.setattr("pipelines.warehouse.load.write_rejections", lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        ingest_batch(con, settings, landed(settings), parser=parser)

    assert numbers(con) == {}
    assert ledger(con) == []
    monkeypatch.undo()
    assert ingest_batch(con, settings, landed(settings), parser=parser).status == "loaded"


def test_a_contract_that_grew_gives_old_rows_a_null(settings, con, parser):
    con.execute("alter table raw_tail.saas__patient_phones drop column is_deleted")

    ensure_ingest_schema(con, settings.folders)

    land(settings, PHONES, TWO, rows=2)
    ingest_batch(con, settings, landed(settings), parser=parser)
    assert con.execute("select distinct is_deleted from raw.saas__patient_phones").fetchall() == [(None,)]


def test_the_warehouse_answers_in_the_tenants_zone_and_keeps_what_was_committed(settings):
    with connect_warehouse(settings) as con:
        ensure_ingest_schema(con, settings.folders)
        assert con.execute("select current_setting('TimeZone')").fetchone() == ("Asia/Shanghai",)
        assert con.execute("select count(*) from duckdb_views() where schema_name = 'raw'").fetchone() == (41,)

    with connect_warehouse(settings, read_only=True) as con:
        assert con.execute("select count(*) from ingest.batch").fetchone() == (0,)


def test_files_of_all_formats_make_one_batch(settings, con, parser):
    folder = land(settings, EVENTS, jsonl_text([event("E1")]), rows=1, form="jsonl")
    pq.write_table(pa.Table.from_pylist([event("E2")]), folder / "part-2.parquet")
    (folder / "part-3.csv").write_text(csv_text([event("E3")]), encoding="utf-8")
    from pipelines.warehouse.landing import seal  # noqa: PLC0415

    seal(
        folder, source=EVENTS[0], table=EVENTS[1], batch_id=folder.name, window_from=WINDOW.start, window_to=WINDOW.end
    )

    result = ingest_batch(con, settings, landed(settings), parser=parser)

    assert result.loaded == 3
    rows = con.execute("select * exclude (event_id) from raw.mini_program__events").fetchall()
    assert rows[0] == rows[1] == rows[2]
