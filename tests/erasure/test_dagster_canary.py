"""What Dagster keeps for good (events, runs, logs) holds no value of a row, whichever way a run fails on one.

Dagster reads its home from the environment, so the runs have a process of their own.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.defs.telling import OTHER_OUTPUT
from pipelines.ingest.contracts import load_contracts
from pipelines.processes import REPOSITORY
from pipelines.settings import PipelineSettings
from tests.conftest import END_ON, MORNING
from tests.erasure.canary import found_in
from tests.erasure.world import Someone, land
from tests.ingest import factory
from tests.parsed import LendParsed

CANARY = Someone("canary", "13712340987")
TWIN = Someone("canary", CANARY.phone, same_as="twin")
LEADS = load_contracts()["leads", "leads"]
# Two payments whose sum no BIGINT holds: the error of the cast quotes it.
HALF = 9_223_372_036_854_775_807
UNREADABLE = "canary-unreadable"
TEXTS = {CANARY.phone, "canary-leads-leads-name", "canary-lead_id", UNREADABLE, str(2 * HALF)}

RUNS = """
import json, os
import dagster as dg
import dagster_dbt

# Attempts as they are, without the half minute between them.
policy = dg.RetryPolicy
dg.RetryPolicy = lambda max_retries, delay: policy(max_retries=max_retries)

from pipelines.definitions import defs
from pipelines.settings import PipelineSettings
from pipelines.warehouse.connection import connect_warehouse

def run(*keys):
    result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, partition_key=os.environ["DAY"], raise_on_error=False,
        asset_selection=[dg.AssetKey(key.split("/")) for key in keys],
    )
    told = [event.materialization.metadata for event in result.get_asset_materialization_events()]
    return {"success": result.success, "told": [{name: str(fact.value) for name, fact in one.items()} for one in told]}

LEADS = ["raw/leads__assignment_events", "raw/leads__follow_ups", "raw/leads__leads"]
with dg.DagsterInstance.get() as instance:
    answers = [run("intermediate/int_customer_payment"), run(*LEADS)]
    with connect_warehouse(PipelineSettings()) as con:
        con.execute("create unique index once on raw_tail.leads__leads (name, phone, created_at)")
    os.rename(os.environ["TWINS"], os.environ["TWINS_LAND_AT"])
    answers.append(run(*LEADS))
print(json.dumps(answers))
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """What three runs answered: dbt fails, ingest refuses, ingest fails; and where Dagster keeps the rest."""

    answers: list[dict[str, Any]]
    home: Path
    dbt_target: Path

    def logs(self) -> str:
        files = [file for kind in ("*.out", "*.err") for file in self.home.rglob(kind)]
        return "".join(file.read_text(encoding="utf-8") for file in files)


@pytest.fixture(scope="module")
def kept(night: PipelineSettings, lend_parsed: LendParsed, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    root = tmp_path_factory.mktemp("dagster")
    shutil.copytree(night.data_dir, root / "data")
    settings = PipelineSettings(data_dir=root / "data")
    lend_parsed(settings)
    with duckdb.connect(str(settings.folders.marts)) as con:
        con.execute("create temp table one as select * from marts.fct_payment where customer_key is not null limit 1")
        con.execute("delete from marts.fct_payment where customer_key = (select customer_key from one)")
        con.execute(f"insert into marts.fct_payment select one.* replace ({HALF} as amount_fen) from one, range(2)")
    at = MORNING.now() - timedelta(hours=12)
    bad = CANARY.row(LEADS, at) | {"created_at": f"{CANARY.phone} {CANARY.text(LEADS, LEADS.column('name'))}"}
    land(settings, LEADS, "bad", [bad], day=END_ON)
    factory.land(settings, ("leads", "leads"), UNREADABLE * 9, batch_id="no", rows=1, form="parquet")
    twins = land(settings, LEADS, "twins", [CANARY.row(LEADS, at), TWIN.row(LEADS, at)], day=END_ON)
    twins.rename(root / "twins")
    home = root / "home"
    home.mkdir()
    shutil.copyfile(REPOSITORY / "dagster.yaml", home / "dagster.yaml")
    told = {"DAGSTER_HOME": home, "CDP_DATA_DIR": settings.data_dir, "TWINS": root / "twins", "TWINS_LAND_AT": twins}
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUNS],
        env=os.environ | {name: str(value) for name, value in told.items()} | {"DAY": END_ON.isoformat()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return Kept(json.loads(process.stdout.strip().splitlines()[-1]), home, settings.folders.build / "dbt_target")


def test_nothing_that_dagster_keeps_quotes_a_value(kept: Kept) -> None:
    assert [answer["success"] for answer in kept.answers] == [False, True, False]
    assert found_in(kept.home, TEXTS) == {}
    assert not any(text in json.dumps(kept.answers) for text in TEXTS)


def test_an_error_of_dbts_is_still_told_by_model_and_kind_and_dbts_own_log_says_more(kept: Kept) -> None:
    assert "Runtime Error in model int_customer_payment" in kept.logs()
    assert "Conversion Error: column sum (values are not shown" in kept.logs()
    places = found_in(kept.dbt_target, TEXTS)
    assert {Path(file).name for file in places} >= {"dbt.log"}
    assert OTHER_OUTPUT not in {Path(file).name for file in places}


def test_an_error_of_a_step_is_still_told_by_its_kind_and_place(kept: Kept) -> None:
    told = "StepFailedError: ConstraintException: Constraint Error: PRIMARY KEY or UNIQUE constraint violation (values"
    assert told in kept.logs()


def test_refusals_are_told_by_batch_code_and_count(kept: Kept) -> None:
    (told,) = (facts for facts in kept.answers[1]["told"] if facts["batches_refused"] != "0")

    assert (told["rows_quarantined"], told["batches_refused"]) == ("1", "1")
    assert "unreadable_file" in told["refusals"]
