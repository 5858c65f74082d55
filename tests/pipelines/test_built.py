"""What is published is what was built: no interleaving of runs can put one run's name on another's data."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest

from pipelines import steps
from pipelines.ingest.contracts import load_contracts
from pipelines.settings import PipelineSettings
from pipelines.steps import NotCheckedError, building, input_fingerprint, publish
from pipelines.warehouse.built import Stage
from pipelines.warehouse.connection import connect_warehouse, ensure_ingest_schema
from pipelines.warehouse.ledger import LedgerEntry, write_entry
from tests.ingest.factory import PHONES
from tests.warehouse.test_publish import build_marts

DAY, NEXT_DAY = date(2026, 11, 20), date(2026, 11, 21)
NOW = datetime(2026, 11, 21, 0, 40, tzinfo=UTC)


@pytest.fixture
def settings(empty_settings: PipelineSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[PipelineSettings]:
    """An empty ledger, and marts of one row."""
    monkeypatch.setattr(steps, "catalog_json", lambda _: "{}")
    with connect_warehouse(empty_settings) as con:
        ensure_ingest_schema(con, empty_settings.folders, [load_contracts()[PHONES]])
    build_marts(empty_settings, names=["王"])
    return empty_settings


def load_a_batch(settings: PipelineSettings) -> None:
    """What the ingest of another run does between two steps of this one."""
    with connect_warehouse(settings) as con:
        write_entry(con, LedgerEntry("late", *PHONES, "loaded", "0" * 64, None, None, DAY, 0))


def run(settings: PipelineSettings, *stages: Stage, day: date = DAY) -> None:
    for stage in stages:
        with building(settings, day, stage):
            pass


WHOLE = (Stage.INPUTS, Stage.IDENTITY, Stage.CHECKED, Stage.ENGINE, Stage.AUDIENCES)


def test_a_version_carries_the_fingerprint_of_the_inputs_its_marts_were_built_from(settings: PipelineSettings) -> None:
    run(settings, *WHOLE)

    publication, _ = publish(settings, DAY, run_id="r", now=NOW)

    assert publication.pointer.fingerprint == input_fingerprint(settings, DAY)


@pytest.mark.parametrize("done", range(1, 5))
def test_a_batch_that_another_run_loads_on_the_way_stops_the_run_instead_of_being_claimed(
    settings: PipelineSettings, done: int
) -> None:
    run(settings, *WHOLE[:done])
    load_a_batch(settings)

    with pytest.raises(NotCheckedError, match="have changed") as caught:
        run(settings, *WHOLE[done:])
        publish(settings, DAY, run_id="r", now=NOW)

    assert "已变化" in caught.value.reason
    run(settings, *WHOLE)
    assert publish(settings, DAY, run_id="r", now=NOW)[0].status == "published"


@pytest.mark.parametrize("done", range(1, 5))
def test_a_run_of_another_day_in_between_stops_the_run(settings: PipelineSettings, done: int) -> None:
    run(settings, *WHOLE[:done])
    run(settings, Stage.INPUTS, day=NEXT_DAY)

    with pytest.raises(NotCheckedError, match="2026-11-21, by another run"):
        run(settings, *WHOLE[done:])
        publish(settings, DAY, run_id="r", now=NOW)


@pytest.mark.parametrize("stage", [Stage.IDENTITY, Stage.CHECKED])
def test_no_step_goes_on_from_one_that_did_not_run(settings: PipelineSettings, stage: Stage) -> None:
    with pytest.raises(NotCheckedError, match="nothing is built"):
        run(settings, stage)
    run(settings, Stage.INPUTS)

    with pytest.raises(NotCheckedError, match=r"identity is not resolved|did not pass"):
        run(settings, *([Stage.CHECKED] if stage is Stage.CHECKED else []))
        publish(settings, DAY, run_id="r", now=NOW)


def test_marts_without_the_engines_tables_of_the_same_run_are_not_published(settings: PipelineSettings) -> None:
    run(settings, *WHOLE, Stage.CHECKED)

    with pytest.raises(NotCheckedError, match="engine's tables are not built"):
        publish(settings, DAY, run_id="r", now=NOW)


def test_marts_without_the_audiences_of_the_same_run_are_not_published(settings: PipelineSettings) -> None:
    run(settings, *WHOLE, Stage.ENGINE)

    with pytest.raises(NotCheckedError, match="tags and segments are not calculated"):
        publish(settings, DAY, run_id="r", now=NOW)


def test_marts_that_failed_a_check_are_not_published_though_they_were_checked_before(
    settings: PipelineSettings,
) -> None:
    run(settings, *WHOLE)

    with pytest.raises(ZeroDivisionError), building(settings, DAY, Stage.CHECKED):
        _ = 1 / 0

    with pytest.raises(NotCheckedError, match="did not pass"):
        publish(settings, DAY, run_id="r", now=NOW)


def test_a_part_of_the_marts_keeps_what_was_checked_and_checks_nothing_else(settings: PipelineSettings) -> None:
    run(settings, Stage.INPUTS, Stage.IDENTITY)
    with building(settings, DAY, Stage.CHECKED, whole=False):
        pass
    with pytest.raises(NotCheckedError, match="did not pass"):
        run(settings, Stage.ENGINE)

    run(settings, Stage.CHECKED)
    with building(settings, DAY, Stage.CHECKED, whole=False):
        pass
    run(settings, Stage.ENGINE, Stage.AUDIENCES)

    assert publish(settings, DAY, run_id="r", now=NOW)[0].status == "published"
