import json
from datetime import date

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.ingest.manifest import MANIFEST_NAME, Manifest, Window
from pipelines.warehouse.landing import discover, seal, unsealed, write_manifest
from pipelines.warehouse.load import ingest_batch
from tests.ingest.factory import DAY, PHONES, WINDOW, ZONE, csv_text, jsonl_text, land, landed, phone

PLACE = {"source": "saas", "table": "patient_phones", "batch_id": "drop"}


def drop(settings, **files):
    folder = settings.folders.landing / "saas" / "patient_phones" / "drop"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content)
    return folder


def sealed(folder):
    return seal(folder, **PLACE, window_from=WINDOW.start, window_to=WINDOW.end)


def test_a_folder_without_a_manifest_does_not_exist_yet(settings):
    folder = drop(settings, part_csv=csv_text([phone("K1")]).encode())

    assert discover(settings.folders) == []
    assert unsealed(settings.folders) == [folder]

    sealed(folder)

    assert [batch.batch_id for batch in discover(settings.folders)] == ["drop"]
    assert unsealed(settings.folders) == []


def test_batches_come_in_the_same_order_whatever_the_disk_says(settings):
    for batch_id, days in (("c", 2), ("a", 3), ("b", 2)):
        window = Window(DAY, DAY.replace(day=DAY.day + days))
        land(settings, PHONES, csv_text([phone("K1")]), batch_id=batch_id, rows=1, window=window)
    land(settings, ("mini_program", "events"), "{}\n", batch_id="z", rows=1, form="jsonl")

    found = discover(settings.folders)

    assert [(batch.source, batch.batch_id) for batch in found] == [
        ("mini_program", "z"),
        ("saas", "b"),
        ("saas", "c"),
        ("saas", "a"),
    ]


def test_a_manifest_that_cannot_be_read_is_a_batch_to_refuse_every_night(settings):
    folder = land(settings, PHONES, csv_text([phone("K1")]), rows=1)
    for content in (b"{", b"\xff\xfe\xff", b"[" * 100_000, b"null", b'{"format": 1}'):
        (folder / MANIFEST_NAME).write_bytes(content)

        batch = landed(settings)

        assert batch.manifest is None
        assert batch.problems
        assert batch.business_day(ZONE) == date.min


def test_a_manifest_in_a_foreign_folder_is_a_problem(settings):
    folder = land(settings, PHONES, csv_text([phone("K1")]), rows=1)
    folder.rename(folder.with_name("other"))

    problems = landed(settings, "other").problems

    assert [(problem.code, problem.path) for problem in problems] == [("wrong_folder", "/batch_id")]


def test_writing_a_manifest_that_would_be_refused_fails_at_once(settings, tmp_path):
    manifest = Manifest("saas", "patient_phones", "../x", 1, WINDOW, 0, ())

    with pytest.raises(ValueError, match="/batch_id"):
        write_manifest(tmp_path, manifest)

    assert list(tmp_path.iterdir()) == []


def workbook(folder, rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(folder / "book.xlsx")


def test_sealing_counts_the_rows_that_loading_will_find(settings, con, parser):
    text = csv_text([phone("K1", 'a\n"b",\n'), phone("K2")]) + "\nK3,broken\n"
    folder = drop(
        settings,
        quoted_csv=text.encode(),
        chinese_csv=csv_text([phone("K4", "龔先生"), phone("K5", "王\n丽")]).encode("gb18030"),
        wide_csv=csv_text([phone("K6")]).encode("utf-16"),
        lines_jsonl=(jsonl_text([phone("K7"), phone("K8")]) + "\n{broken\n").encode(),
    )
    pq.write_table(pa.Table.from_pylist([phone("K9")]), folder / "typed.parquet")
    workbook(folder, [list(phone("K10")), list(phone("K10").values()), [None], list(phone("K11").values())])

    manifest = sealed(folder)

    assert {file.name: file.row_count for file in manifest.files} == {
        "book.xlsx": 2,
        "chinese.csv": 2,
        "lines.jsonl": 3,
        "quoted.csv": 3,
        "typed.parquet": 1,
        "wide.csv": 1,
    }
    result = ingest_batch(con, settings, landed(settings, "drop"), parser=parser)
    assert (result.status, result.loaded, result.rejected) == ("loaded", 10, 2)
    assert result.guessed_encodings == ("chinese.csv: gb18030", "wide.csv: utf-16")


@pytest.mark.parametrize("name", ["notes_docx", "broken_parquet", "broken_xlsx"])
def test_sealing_a_folder_that_cannot_be_counted_says_why_and_writes_nothing(settings, name):
    folder = drop(settings, **{name: b"PK not really"})

    with pytest.raises(ValueError, match="/ 文件"):
        sealed(folder)

    assert not (folder / MANIFEST_NAME).exists()


def test_sealing_an_empty_folder_is_refused(settings):
    folder = drop(settings)

    with pytest.raises(ValueError, match="no file"):
        sealed(folder)


def test_sealing_leaves_no_other_file_behind(settings):
    folder = drop(settings, part_csv=csv_text([phone("K1")]).encode())

    sealed(folder)

    assert sorted(file.name for file in folder.iterdir()) == [MANIFEST_NAME, "part.csv"]
    assert json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))["row_count"] == 1
