"""The whole night on sample data: what it publishes, repeats, refuses and survives."""

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb
import pytest

from pipelines import steps
from pipelines.nightly import STEP_NAMES, read_runs, run_night
from pipelines.settings import PipelineSettings
from pipelines.status import platform_status
from pipelines.steps import BusinessDayError
from pipelines.warehouse.dbt import DbtFailedError
from segment_engine.catalog import read_catalog
from segment_engine.runtime.engine_layout import read_layout
from segment_engine.runtime.published import read_pointer
from tests.conftest import END_ON, MORNING, FixedClock
from tests.parsed import LendParsed


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


def test_a_forced_rebuild_computes_the_same_content(own_copy: PipelineSettings, lend_parsed: LendParsed) -> None:
    lend_parsed(own_copy)
    before = read_pointer(own_copy.folders)

    record = run_night(own_copy, as_of=END_ON, clock=MORNING, force=True)

    assert (record.status, record.version) == ("unchanged", before.version)
    assert tuple(step["name"] for step in record.steps) == STEP_NAMES[1:]
    assert {step["name"]: step["facts"] for step in record.steps}["engine"].keys() == {"tables unchanged"}


def test_a_published_version_holds_the_engines_copies_of_its_marts(night: PipelineSettings) -> None:
    pointer = read_pointer(night.folders)
    catalog = read_catalog(json.loads((night.folders.published / pointer.catalog_file).read_text("utf-8")))

    with duckdb.connect(str(night.folders.published / pointer.file), read_only=True) as con:
        layout = read_layout(con, catalog)

    assert layout is not None
    assert {catalog.sources[name].table: stored.rows for name, stored in layout.sources.items()} == {
        source.table: pointer.row_counts[source.table] for source in catalog.sources.values()
    }
    assert not any(name.startswith("engine.") for name in pointer.content_hashes)


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


def test_a_failed_check_keeps_the_last_good_version_and_says_why(
    own_copy: PipelineSettings, lend_parsed: LendParsed
) -> None:
    lend_parsed(own_copy)
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
