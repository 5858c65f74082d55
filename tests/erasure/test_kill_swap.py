"""`kill -9` while the files that held an erased person are replaced: the next run finishes and loses nothing else.

A step is one rename or removal of a file or folder. The suite dies after the rename that counts; `make soak` at every
one, from the first of the erasure to the last of the ingest after it.
"""

import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import Connection

from api.caller import system_caller
from api.privacy.erasure import Person, forget
from api.storage.database import Database
from api.storage.schema import upgrade
from pipelines import steps
from pipelines.identity.state import ensure_tables
from pipelines.ingest.contracts import load_contracts, raw_table_name
from pipelines.nightly import RunRecord
from pipelines.settings import PipelineSettings
from pipelines.warehouse import segments
from pipelines.warehouse.built import Built, Stage, write_built
from pipelines.warehouse.connection import connect_warehouse
from segment_engine.runtime.secret import tenant_secret
from tests.conftest import MORNING
from tests.erasure.canary import found_in
from tests.erasure.world import Someone, land

# An erasing night up to its ingest; prints its steps, and kills itself before the n-th (0: never).
KILLED = """
import os, signal, sys
from datetime import date, datetime
from pathlib import Path
from pipelines import steps
from pipelines.settings import PipelineSettings
from pipelines.warehouse import segments

root, day, now, deadly = sys.argv[1:]
taken = []

def counted(name):
    work = getattr(os, name)
    def step(path, *arguments, **options):
        taken.append(f"{name} {os.fsdecode(arguments[0] if arguments else path)}")
        if len(taken) == int(deadly):
            os.kill(os.getpid(), signal.SIGKILL)
        return work(path, *arguments, **options)
    setattr(os, name, step)

for name in ("replace", "rename", "unlink", "rmdir"):
    counted(name)
segments.SEGMENT_ROWS = 2
settings = PipelineSettings(data_dir=Path(root))
steps.erase(settings, date.fromisoformat(day), steps.erasures_due(settings), now=datetime.fromisoformat(now))
steps.ingest(settings, date.fromisoformat(day))
print(*taken, sep="\\n")
"""
DAY = date(2026, 11, 20)
CANARY, ZOE = Someone("canary", "13712340987"), Someone("zoe", "13800000002")
PATIENTS, LEADS, IMAGES = (
    load_contracts()[key] for key in (("saas", "patients"), ("leads", "leads"), ("saas", "images"))
)
# Restricted rows keep their record numbers, so of the canary these must be gone.
TEXTS = (CANARY.phone, "canary-patient", "canary-saas-patients-name", "canary-lead_id", "canary-leads-leads-name")


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """A directory before the erasure, what one holds after it, and the steps in between."""

    before: Path
    after: dict[str, Any]
    steps: list[str]

    @property
    def swap(self) -> int:
        """The number of the step that puts the new warehouse in the old one's place."""
        return 1 + next(place for place, step in enumerate(self.steps) if step.endswith("/warehouse.duckdb"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    root = tmp_path_factory.mktemp("swap")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "SEGMENT_ROWS", 2)
        make_world(PipelineSettings(data_dir=root / "before"))
    shutil.copytree(root / "before", root / "after")
    child = run(root / "after", deadly=0)
    assert child.returncode == 0, child.stderr
    return Undisturbed(root / "before", content(root / "after"), child.stdout.splitlines())


def make_world(settings: PipelineSettings) -> None:
    """One ingested day, an order, and the canary wherever an erasure has something to replace or to remove."""
    at = MORNING.now() - timedelta(hours=12)
    for contract, form in ((PATIENTS, "csv"), (LEADS, "jsonl"), (IMAGES, "parquet")):
        rows = [person.row(contract, at) for person in (CANARY, ZOE)]
        refused = CANARY.row(contract, at) | {contract.columns[-1].name: "不是时间"}
        land(settings, contract, "b1", [*rows, *([refused] if form == "csv" else [])], day=DAY, form=form)
        land(settings, contract, "b2", rows[:1], day=DAY)
    land(settings, PATIENTS, "later", rows=[CANARY.row(PATIENTS, at)], day=DAY + timedelta(days=1))
    unfit = [{name: value for name, value in CANARY.row(LEADS, at).items() if name != "status"}]
    land(settings, LEADS, "refused", unfit, day=DAY)
    steps.ingest(settings, DAY)
    shutil.rmtree(settings.folders.landing / IMAGES.source / IMAGES.table / "b1")
    with connect_warehouse(settings) as con:
        ensure_tables(con, "identity")
        for place, key in enumerate(("patient:saas:canary-patient", "lead:leads:canary-lead_id", "lead:leads:zoe")):
            con.execute(
                "insert into identity.assignment values ($key, $id, $place, true, null, null, null)",
                {"key": key, "id": "Z" if key.endswith("zoe") else "C", "place": place},
            )
    write_built(settings.folders, Built(DAY, "print", Stage.CHECKED))
    folders = settings.folders
    for name in ("dbt_logs", "spill", "tmp", "dbt_target/run-1"):
        (folders.build / name).mkdir(exist_ok=True, parents=True)
        (folders.build / name / "left").write_text(CANARY.phone, encoding="utf-8")
    (folders.build / "dbt_target" / "run_results.json").write_text(CANARY.phone, encoding="utf-8")
    (folders.build / "dbt_target" / "manifest.json").write_text("{}", encoding="utf-8")
    with duckdb.connect(str(folders.marts)) as con:
        con.execute("create table dim_customer as select $phone as phone", {"phone": CANARY.phone})
    record = RunRecord(
        run_id="1", as_of=str(DAY), started_at=at.isoformat(), pid=1, error=f"ValueError: {CANARY.phone}"
    )
    record.write(folders)
    order(settings)


def order(settings: PipelineSettings) -> None:
    """What the API does at once."""
    person = Person("C", ("patient:saas:canary-patient",))
    store = Database(settings)
    upgrade(store)

    def work(con: Connection) -> None:
        forget(
            con, system_caller("test"), person, reason="客户要求", secret=tenant_secret(settings), engine=store.kind,
            now=MORNING.now(),
        )  # fmt: skip

    store.write(work)
    store.close()


def run(root: Path, *, deadly: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", KILLED, str(root), str(DAY), MORNING.now().isoformat(), str(deadly)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def content(root: Path) -> dict[str, Any]:
    """What a directory tells: rows of every table, bytes of every landed and quarantined file, names of all others."""
    told: dict[str, Any] = {"files": sorted(str(file.relative_to(root)) for file in root.rglob("*") if file.is_file())}
    told["texts"] = found_in(root, TEXTS)
    for folder in ("landing", "quarantine"):
        told |= {
            str(file.relative_to(root)): file.read_bytes() for file in (root / folder).rglob("*") if file.is_file()
        }
    tables = [f"raw.{raw_table_name(contract)}" for contract in (PATIENTS, LEADS, IMAGES)]
    with connect_warehouse(PipelineSettings(data_dir=root)) as con:
        for table in (
            *tables,
            "ingest.batch",
            "ingest.rejection",
            "ingest.erasure",
            "ingest.erased_value",
            "identity.assignment",
        ):
            told[table] = con.execute(f"from {table} order by all").fetchall()
    return told


def converges(undisturbed: Undisturbed, root: Path, deadly: int) -> None:
    """Killed before that step and run again, the directory holds what it holds without the kill."""
    shutil.copytree(undisturbed.before, root)
    assert run(root, deadly=deadly).returncode == -signal.SIGKILL
    settings = PipelineSettings(data_dir=root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "SEGMENT_ROWS", 2)
        due = steps.erasures_due(settings)
        if due:
            steps.erase(settings, DAY, due, now=MORNING.now())
        steps.ingest(settings, DAY)
    assert content(root) == undisturbed.after, undisturbed.steps[deadly - 1]
    shutil.rmtree(root)


def test_the_world_holds_the_person_everywhere_before_and_the_erased_one_nowhere(undisturbed: Undisturbed) -> None:
    before = found_in(undisturbed.before, TEXTS)

    assert {Path(file).parts[0] for file in before} == {"landing", "build", "quarantine", "runs"}
    assert {Path(file).parts[1] for file in before if file.startswith("build/")} >= {
        "warehouse.duckdb", "serving.duckdb", "raw", "dbt_logs", "dbt_target", "spill", "tmp",
    }  # fmt: skip
    assert undisturbed.after["texts"] == {}
    assert len(undisturbed.after["raw.saas__images"]) == 2
    assert "build/dbt_target/manifest.json" in undisturbed.after["files"]


def test_a_kill_right_after_the_rename_is_made_good_by_the_next_run(undisturbed: Undisturbed, tmp_path: Path) -> None:
    converges(undisturbed, tmp_path / "data", undisturbed.swap + 1)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_kill_at_any_step_of_an_erasure_is_made_good_by_the_next_run(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    for deadly in range(1, len(undisturbed.steps) + 1):
        converges(undisturbed, tmp_path / f"{deadly}", deadly)
