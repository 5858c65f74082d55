"""The whole night on sample data: what it publishes, repeats, refuses and survives."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest
from fastapi.testclient import TestClient

from api.commands import demo_token
from api.main import create_app
from api.settings import ApiSettings
from pipelines import steps
from pipelines.nightly import read_runs, run_night
from pipelines.sample.generate import write_sample
from pipelines.settings import PipelineSettings
from pipelines.status import platform_status
from pipelines.steps import BusinessDayError
from pipelines.warehouse.dbt import DbtFailedError
from pipelines.warehouse.drop import seal_dropped_folder
from segment_engine.runtime.folders import DataFolders
from segment_engine.runtime.published import read_pointer
from tests.conftest import END_ON, MORNING, ZONE, FixedClock
from tests.dropped import clinics_by_hand


def test_every_landed_row_is_loaded_or_quarantined(night: PipelineSettings) -> None:
    promised = sum(
        json.loads(manifest.read_text(encoding="utf-8"))["row_count"]
        for manifest in night.folders.landing.glob("*/*/*/_manifest.json")
    )

    status = platform_status(night, now=MORNING.now())

    assert sum(source["loaded_rows"] + source["rejected_rows"] for source in status.sources) == promised > 10_000
    assert (status.refused, status.unsealed) == ([], [])


def test_a_second_night_without_news_changes_nothing(own_copy: PipelineSettings) -> None:
    before = (own_copy.folders.published / "CURRENT").read_bytes()

    record = run_night(own_copy, as_of=END_ON, clock=MORNING)

    assert record.status == "unchanged"
    assert [step["name"] for step in record.steps] == ["ingest"]
    assert (own_copy.folders.published / "CURRENT").read_bytes() == before


def test_a_forced_rebuild_computes_the_same_content(own_copy: PipelineSettings) -> None:
    before = read_pointer(own_copy.folders)

    record = run_night(own_copy, as_of=END_ON, clock=MORNING, force=True)

    assert (record.status, record.version) == ("unchanged", before.version)
    assert len(record.steps) == 5


def test_an_earlier_day_than_the_last_night_is_refused_and_the_version_stays(own_copy: PipelineSettings) -> None:
    before = read_pointer(own_copy.folders)

    with pytest.raises(BusinessDayError, match="2026-11-20") as caught:
        run_night(own_copy, as_of=END_ON - timedelta(days=3), clock=MORNING)

    assert "早于" in str(caught.value)
    assert read_pointer(own_copy.folders) == before
    failed = read_runs(own_copy.folders)[0]
    assert (failed.status, failed.steps) == ("failed", [])


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "Pacific/Auckland"])
def test_a_day_that_has_not_begun_in_the_tenants_zone_is_refused_before_any_work(
    empty_settings: PipelineSettings, zone: str
) -> None:
    settings = empty_settings.model_copy(update={"timezone": zone})
    midnight = FixedClock(datetime(2026, 11, 20, tzinfo=ZoneInfo(zone)).astimezone(UTC))

    with pytest.raises(BusinessDayError, match="2026-11-21 lies in the future"):
        run_night(settings, as_of=END_ON + timedelta(days=1), clock=midnight)
    refused = read_runs(settings.folders)[0]

    assert (refused.status, refused.steps) == ("failed", [])
    assert not settings.folders.warehouse.exists()


def test_the_day_that_has_just_begun_may_be_run(empty_settings: PipelineSettings) -> None:
    steps.check_business_day(empty_settings, END_ON, today=END_ON)


def test_a_failed_check_keeps_the_last_good_version_and_says_why(own_copy: PipelineSettings) -> None:
    before = read_pointer(own_copy.folders)
    with duckdb.connect(str(own_copy.folders.warehouse)) as con:
        # What no night of ours would do: a second clinic of the same id, past the ledger.
        con.execute("insert into raw_tail.saas__clinics select * from raw.saas__clinics limit 1")

    with pytest.raises(DbtFailedError):
        run_night(own_copy, as_of=END_ON, clock=MORNING, force=True)

    assert read_pointer(own_copy.folders) == before
    failed = read_runs(own_copy.folders)[0]
    assert failed.status == "failed"
    assert "dim_clinic" in (failed.error or "")


@pytest.fixture(scope="module")
def dirty_night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PipelineSettings]:
    root = tmp_path_factory.mktemp("dirty")
    write_sample(DataFolders(root), customers=400, days=60, seed=3, end_on=END_ON, dirty=True, zone=ZONE)
    settings = PipelineSettings(data_dir=root)
    with pytest.MonkeyPatch.context() as patch:
        # As few rows as a sample has, kept in both ways that rows are kept.
        patch.setattr("pipelines.warehouse.segments.SEGMENT_ROWS", 100)
        run_night(settings, as_of=END_ON, clock=MORNING)
    yield settings
    shutil.rmtree(root)


def test_a_night_over_segments_publishes_what_a_night_over_tables_does(
    dirty_night: PipelineSettings, tmp_path: Path
) -> None:
    other = PipelineSettings(data_dir=tmp_path / "data")
    shutil.copytree(dirty_night.folders.landing, other.folders.landing)

    run_night(other, as_of=END_ON, clock=MORNING)

    assert (dirty_night.folders.build / "raw").exists()
    assert not (other.folders.build / "raw").exists()
    assert read_pointer(other.folders).content_hashes == read_pointer(dirty_night.folders).content_hashes


def test_dirty_data_is_quarantined_where_it_was_planted(dirty_night: PipelineSettings) -> None:
    planted = json.loads((dirty_night.data_dir / "sample_truth/dirt.json").read_text(encoding="utf-8"))
    status = platform_status(dirty_night, now=MORNING.now())

    refused = {
        (batch["source"], batch["table_name"], batch["batch_id"], batch["refusal_code"]) for batch in status.refused
    }
    places = [(row["source"], row["table"], row["batch_id"]) for row in planted["rows"]]
    found: set[tuple[str, ...]] = set()
    for place in set(places):
        file = dirty_night.folders.quarantine.joinpath(*place).with_suffix(".csv")
        with duckdb.connect() as con:
            query = 'select file, line, "column", code from read_csv(?, all_varchar = true)'
            found |= {(*place, *row) for row in con.execute(query, [str(file)]).fetchall()}

    assert refused == {
        (batch["source"], batch["table"], batch["batch_id"], batch["reason"]) for batch in planted["batches"]
    }
    expected = {
        (row["source"], row["table"], row["batch_id"], row["file"], str(row["line"]), row["column"], row["reason"])
        for row in planted["rows"]
    }
    assert len(expected) > 20
    assert expected <= found
    assert status.unsealed == ["/".join((row["source"], row["table"], row["batch_id"])) for row in planted["ignored"]]


def test_status_lists_what_was_quarantined_and_why(dirty_night: PipelineSettings) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "status", "--all"],
        env={"CDP_DATA_DIR": str(dirty_night.data_dir), "PATH": "/usr/bin:/bin", "COLUMNS": "250"},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    for word in ("Quarantined rows", "too_many_decimals", "malformed_row", "Refused batches", "checksum_mismatch"):
        assert word in answer


def test_api_and_sql_answer_without_error_during_a_night_and_across_its_publish(own_copy: PipelineSettings) -> None:
    news = clinics_by_hand(own_copy)
    seal_dropped_folder(own_copy, news, first_day=END_ON, last_day=END_ON, today=END_ON)
    environment = {"CDP_DATA_DIR": str(own_copy.data_dir), "PATH": "/usr/bin:/bin"}
    api_settings = ApiSettings(data_dir=own_copy.data_dir, rate_limit_per_address=0)
    client = TestClient(
        create_app(api_settings),
        raise_server_exceptions=False,
        headers={"Authorization": f"Bearer {demo_token(api_settings)}"},
    )
    stop = threading.Event()
    answers: list[tuple[int, str]] = []

    def hammer() -> None:
        # Without a pause this thread would have a processor to itself, and the night would take twice as long.
        while not stop.wait(0.05):
            answer = client.get("/v1/customers?limit=20")
            answers.append((answer.status_code, answer.json().get("version", "")))

    thread = threading.Thread(target=hammer)
    thread.start()
    night = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", "nightly", "--as-of", END_ON.isoformat()],
        env=environment, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    query = [sys.executable, "-m", "pipelines.cli", "sql", "select count(*) from dim_customer"]
    sql_codes: list[int] = []
    while night.poll() is None:
        sql_codes.append(subprocess.run(query, env=environment, capture_output=True, check=False).returncode)
        stop.wait(1.5)
    answers_after = len(answers)
    while len(answers) < answers_after + 20:
        stop.wait(0.05)
    stop.set()
    thread.join()

    assert night.returncode == 0
    assert {status for status, _ in answers} == {200}
    assert [version for _, version in answers] == sorted(version for _, version in answers)
    assert {version for _, version in answers} == {"20261120-01", "20261120-02"}
    assert set(sql_codes) == {0}
