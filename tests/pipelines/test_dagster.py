"""Dagster's view of the platform, and one night run by it.

Definitions read the environment when they are imported, so a process of its own is asked for each data directory.
"""

import json
import os
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from pipelines.breaker import ACCEPTABLE
from pipelines.ingest.contracts import load_contracts
from pipelines.settings import PipelineSettings
from pipelines.status import platform_status
from pipelines.warehouse.dbt import target_path
from segment_engine.runtime.published import read_pointer
from tests.conftest import MORNING
from tests.parsed import LendParsed

DESCRIBE = """
import json
from datetime import datetime
from zoneinfo import ZoneInfo
import dagster as dg
from pipelines.definitions import defs
from pipelines.defs.refresh import something_arrived
from pipelines.defs.resources import Platform
from tests.conftest import FixedClock

class On(Platform):
    day: int
    def clock(self):
        return FixedClock(datetime(2026, 11, self.day, 12, tzinfo=ZoneInfo("Asia/Shanghai")))

def look(day, cursor):
    with dg.build_sensor_context(cursor=cursor, resources={"platform": On(day=day)}) as context:
        return something_arrived(context)

first = look(21, None)
late = look(25, None)
graph = defs.get_repository_def().asset_graph
schedule = defs.get_schedule_def("nightly_at_0030")
nodes = [graph.get(key) for key in graph.get_all_asset_keys() if graph.get(key).is_materializable]
print(json.dumps({
    "assets": ["/".join(node.key.path) for node in nodes],
    "silent": [str(node.key) for node in nodes if not node.description],
    "unowned": [str(node.key) for node in nodes if not node.owners],
    "unpartitioned": [str(node.key) for node in nodes if not node.is_partitioned],
    "above_publish": ["/".join(key.path) for node in nodes if node.key.path == ["published", "marts"]
                      for key in node.parent_keys],
    "cron": schedule.cron_schedule,
    "zone": schedule.execution_timezone,
    "status": schedule.default_status.value,
    "sensors": [sensor.name for sensor in defs.sensors],
    "running": [sensor.name for sensor in defs.sensors if sensor.default_status.value == "RUNNING"],
    "runs": [len(first.run_requests), len(look(21, first.cursor).run_requests or [])],
    "late": [late.run_requests, late.cursor, late.skip_reason.skip_message],
    "nothing": look(21, first.cursor).skip_reason.skip_message,
}))
"""

RUN = """
import json, os
import dagster as dg
from pipelines.definitions import defs
from pipelines.warehouse.dbt import target_path
from pipelines.settings import PipelineSettings
job = defs.get_job_def("nightly")
with dg.DagsterInstance.ephemeral() as instance:
    accept = {"ops": {"marts_and_checks": {"config": {"accept": [os.environ["ACCEPT"]]}}}}
    result = job.execute_in_process(instance=instance, partition_key=os.environ["DAY"], raise_on_error=False,
                                    run_config=accept)
    rows = {"/".join(event.asset_key.path): {key: value.value for key, value in event.materialization.metadata.items()
            if key in ("dagster/row_count", "rows_quarantined")} for event in result.get_asset_materialization_events()}
    checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
manifest = json.loads((target_path(PipelineSettings()) / "manifest.json").read_text())
tests = [node["name"] for node in manifest["nodes"].values() if node["resource_type"] == "test"]
print(json.dumps({"success": result.success, "rows": rows, "checks": checks, "tests": tests}))
"""


def ask(script: str, data_dir: Path, **environment: str) -> dict[str, object]:
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env=os.environ | {"CDP_DATA_DIR": str(data_dir), "DAGSTER_DISABLE_TELEMETRY": "1", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    facts: dict[str, object] = json.loads(answer.stdout.strip().splitlines()[-1])
    return facts


@pytest.fixture(scope="module")
def described(night: PipelineSettings) -> dict[str, object]:
    """What Dagster lists, and what its sensor asks for at noon.

    It finds the manifest that the night has left, as it does on any day but the first.
    """
    return ask(DESCRIBE, night.data_dir, PYTHONPATH=".")


def test_every_raw_table_is_an_asset(described: dict[str, object]) -> None:
    raw = {f"raw/{contract.source}__{contract.table}" for contract in load_contracts().values()}

    assert raw <= set(described["assets"])  # type: ignore[call-overload]


def test_every_asset_is_described_owned_and_partitioned_by_business_day(described: dict[str, object]) -> None:
    assert (described["silent"], described["unowned"], described["unpartitioned"]) == ([], [], [])


def test_publishing_waits_for_every_mart(described: dict[str, object]) -> None:
    marts = {name for name in described["assets"] if name.startswith("marts/")}  # type: ignore[attr-defined]

    assert len(marts) > 30
    assert marts | {"engine/tables"} <= set(described["above_publish"])  # type: ignore[call-overload]


def test_the_night_is_scheduled_at_half_past_midnight_in_the_tenants_zone(described: dict[str, object]) -> None:
    assert (described["cron"], described["zone"], described["status"]) == ("30 0 * * *", "Asia/Shanghai", "RUNNING")
    assert described["sensors"] == ["report_failed_run", "something_arrived"]
    assert described["running"] == ["report_failed_run"]


def test_the_sensor_asks_for_one_refresh_for_all_that_arrived_once_the_eve_is_published(
    described: dict[str, object],
) -> None:
    assert described["runs"] == [1, 0]
    assert described["nothing"] == "nothing arrived / 没有新批次"
    assert described["late"][:2] == [[], None]  # type: ignore[index]
    assert "cdp nightly --as-of 2026-11-24" in described["late"][2]  # type: ignore[index]


@pytest.mark.parametrize(("day", "words"), [("2026-11-19", "earlier than the last night"), ("9999-12-31", "future")])
def test_a_step_of_dagsters_refuses_a_day_that_no_night_can_run(
    night: PipelineSettings, monkeypatch: pytest.MonkeyPatch, day: str, words: str
) -> None:
    from dagster import Failure  # noqa: PLC0415

    from pipelines.defs.resources import Platform  # noqa: PLC0415

    monkeypatch.setenv("CDP_DATA_DIR", str(night.data_dir))

    with pytest.raises(Failure, match=words) as caught, Platform().writing("ingest", date.fromisoformat(day)):
        pass

    assert caught.value.allow_retries is False


def test_a_step_of_dagsters_refuses_to_accept_a_check_that_there_is_not() -> None:
    from dagster import Failure  # noqa: PLC0415

    from pipelines.defs.breaker import Accepted, accepted_by  # noqa: PLC0415

    with pytest.raises(Failure, match="'moves'; there are identity_customer_too_large, identity_moves_too_many"):
        accepted_by(Accepted(accept=["moves"]))


def test_a_night_run_by_dagster_publishes_what_the_command_line_publishes(
    sample_landing: Path, night: PipelineSettings, lend_parsed: LendParsed, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    shutil.copytree(sample_landing, root)
    settings = PipelineSettings(data_dir=root)
    lend_parsed(settings)

    # Where the project was parsed when there was no manifest yet: dagster-dbt takes the parsed project from there.
    run = ask(RUN, root, DAY="2026-11-20", ACCEPT=ACCEPTABLE[0], DBT_TARGET_PATH=str(target_path(settings)))

    assert run["success"], run
    assert read_pointer(settings.folders).content_hashes == read_pointer(night.folders).content_hashes
    record = platform_status(settings, now=MORNING.now()).runs[0]
    assert record.status == "succeeded"
    assert "identity" in [step["name"] for step in record.steps]
    assert sum(step["seconds"] for step in record.steps) <= (record.seconds or 0) + 1
    checks: dict[str, bool] = run["checks"]  # type: ignore[assignment]
    assert checks["published_version_is_whole"] is True
    assert checks["tables_are_fresh"] is True
    assert {name: checks.get(name) for name in ACCEPTABLE} == dict.fromkeys(ACCEPTABLE, True)
    assert record.accepted == [ACCEPTABLE[0]]
    rows: dict[str, dict[str, int]] = run["rows"]  # type: ignore[assignment]
    assert rows["raw/saas__patients"]["dagster/row_count"] > 0
    assert rows["raw/saas__patients"]["rows_quarantined"] == 0
