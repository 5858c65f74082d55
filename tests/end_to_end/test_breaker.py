"""The circuit breaker in a whole night: it stops before the publish and says why; an operator may let it pass."""

import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from pipelines.ingest.contracts import load_contracts
from pipelines.nightly import RunRecord, read_runs, run_night
from pipelines.settings import PipelineSettings
from pipelines.show import show_status
from pipelines.status import platform_status
from pipelines.warehouse.connection import connect_warehouse
from pipelines.warehouse.dbt import DbtFailedError
from segment_engine.runtime.published import Pointer, read_pointer
from tests.conftest import END_ON, ZONE, FixedClock
from tests.erasure.world import land
from tests.parsed import LendParsed

# Three whole nights; that each check trips, and passes when it is accepted, is tested beside the models in tests/dbt.
pytestmark = pytest.mark.soak

NEXT = END_ON + timedelta(days=1)
MORNING_AFTER = FixedClock(datetime(2026, 11, 22, 0, 30, tzinfo=ZONE))
NOON = datetime(2026, 11, 21, 12, tzinfo=ZONE)
TRIPPED = ["identity_moves_too_many", "identity_source_shrank"]


@dataclass
class Life:
    """What was served before, what the stopped night said, and what was served when it was stopped and accepted."""

    settings: PipelineSettings
    before: Pointer
    message: str
    stopped: Pointer
    failed: RunRecord
    accepted: RunRecord


@pytest.fixture(scope="module")
def life(night: PipelineSettings, lend_parsed: LendParsed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """Users turn up with each other's phone and unionid, and a third of the leads is deleted at its source."""
    root = tmp_path_factory.mktemp("breaker") / "data"
    shutil.copytree(night.data_dir, root)
    settings = PipelineSettings(data_dir=root)
    lend_parsed(settings)
    users, leads = rows_of(settings, "mini_program", "users"), rows_of(settings, "leads", "leads")
    for user, other in zip(users, [*users[1:], users[0]], strict=True):
        user["unionid"], user["phone"] = other["unionid"], other["phone"]
    deliver(settings, "mini_program", "users", [{**user, "updated_at": NOON} for user in users])
    deliver(settings, "leads", "leads", [{**lead, "updated_at": NOON, "is_deleted": True} for lead in leads[::3]])
    before = read_pointer(settings.folders)

    with pytest.raises(DbtFailedError) as caught:
        run_night(settings, as_of=NEXT, clock=MORNING_AFTER)
    stopped, failed = read_pointer(settings.folders), read_runs(settings.folders)[0]
    later = FixedClock(MORNING_AFTER.now() + timedelta(hours=1))
    accepted = run_night(settings, as_of=NEXT, clock=later, accept=TRIPPED)

    yield Life(settings, before, str(caught.value), stopped, failed, accepted)
    shutil.rmtree(root)


def rows_of(settings: PipelineSettings, source: str, table: str) -> list[dict[str, Any]]:
    with connect_warehouse(settings) as con:
        result = con.execute(f"select * exclude (_batch_id) from raw.{source}__{table} order by all")
        names = [column[0] for column in result.description or ()]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def deliver(settings: PipelineSettings, source: str, table: str, rows: list[dict[str, Any]]) -> None:
    texts = [{name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
             for row in rows]  # fmt: skip
    land(settings, load_contracts()[source, table], "swapped", texts, day=NEXT, form="jsonl")


def test_a_tripped_night_publishes_nothing_and_says_in_both_languages_what_to_do(life: Life) -> None:
    assert life.stopped == life.before
    assert life.failed.status == "failed"
    assert [step["name"] for step in life.failed.steps] == ["ingest", "prepare identity", "identity"]
    for name in TRIPPED:
        assert f"check {name} found " in life.message
        assert life.message.count(f"--accept {name}") == 2
    assert "超过 2% 的身份将换客户" in life.message
    assert life.failed.error is not None
    assert life.message in life.failed.error


def test_the_accepted_checks_let_the_night_pass_and_are_on_its_record(life: Life) -> None:
    assert life.accepted.status == "succeeded"
    assert read_pointer(life.settings.folders).as_of == NEXT
    assert read_runs(life.settings.folders)[0].accepted == TRIPPED
    facts = next(step["facts"] for step in life.accepted.steps if step["name"] == "marts and checks")
    assert {name for name in TRIPPED if facts[f"warning {name}"] > 0} == set(TRIPPED)


def test_status_tells_what_was_accepted(life: Life) -> None:
    console = Console(width=250, record=True, file=io.StringIO())

    show_status(console, platform_status(life.settings, now=MORNING_AFTER.now()), life.settings,
                as_json=False, all_rows=False)  # fmt: skip

    assert f"accepted 放行: {', '.join(TRIPPED)}" in console.export_text()
