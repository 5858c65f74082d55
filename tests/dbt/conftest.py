"""One small chain, built once: one customer in all channels, a second patient and a second lead."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from pathlib import Path
from shutil import copytree
from typing import Any

import duckdb
import pytest

from tests.conftest import MadeOnce
from tests.dbt.factory import assignments, contracts, loaded_batches, write_raw, write_state
from tests.dbt.runner import LENDERS, Outcome, run_dbt
from tests.parsed import LendParsed

FIRST_NIGHT = date(2026, 11, 20)
PERSONAL_PHONE = "13912345678"
# What people write where a phone is asked for, kept as it is when no number can be read from it.
PHONES_AS_WRITTEN = (
    "13812340001/13912340002",
    "手机13812340001妈妈",
    "138 1234 0001 或 139 1234 0002",
    "138-1234-0001转妈妈139-1234-0002",
    "１３８１２３４０００１／１３９１２３４０００２",
    "0755-26543210/0755-26543211",
    "2654321",
    "王小明",
)

# The filler of required text is `x`, so rows without ids of their own all belong together.
EVERYWHERE = {
    0: [
        "patient:saas:x",
        "official_account_fan:x:x",
        "wecom_contact:x:x",
        "mini_program_user:x:x",
        "lead:leads:x",
    ],
    1: ["patient:saas:P1"],
    2: ["lead:leads:L2", *(f"lead:leads:W{number}" for number in range(len(PHONES_AS_WRITTEN)))],
}


def secret(column: str) -> str:
    """A value of a personal column that must not reach analysts as it is."""
    return f"秘密{column}"


def first_world() -> dict[str, list[dict[str, Any]]]:
    """One row per source table with something in every personal column, a second patient and a second lead."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, contract in contracts().items():
        personal = {
            column: PERSONAL_PHONE if spec["pii"] == "phone" else secret(column)
            for column, spec in contract["columns"].items()
            if "pii" in spec
        }
        rows[name] = [personal]
    rows["saas__staff"][0]["phone"] = "13812340002"
    rows["saas__patients"].append({"patient_id": "P1", "name": "唐三", "city": "杭州"})
    rows["leads__leads"].append({"lead_id": "L2", "name": "李四"})
    for number, phone in enumerate(PHONES_AS_WRITTEN):
        rows["leads__leads"].append({"lead_id": f"W{number}", "phone": phone})
        rows["saas__staff"].append({"staff_id": f"W{number}", "phone": phone})
    return rows


@pytest.fixture(scope="session", autouse=True)
def lender(lend_parsed: LendParsed) -> None:
    """Let the commands of these tests read what all test processes parsed once."""
    LENDERS.append(lend_parsed)


@pytest.fixture(scope="session")
def built(made_once: MadeOnce) -> Path:
    """The whole project, built and checked as the pipeline does it: `data`, and what dbt said of it."""

    def make(root: Path) -> None:
        data = root / "data"
        (data / "build").mkdir(parents=True)
        write_raw(data / "build" / "warehouse.duckdb", first_world())
        state = {**assignments(EVERYWHERE), "ingest.batch": loaded_batches(FIRST_NIGHT)}
        write_state(data / "build" / "warehouse.duckdb", state)
        outcome = run_dbt(data, "build", "--exclude-resource-type", "unit_test", as_of=FIRST_NIGHT)
        (root / "outcome.json").write_text(json.dumps(asdict(outcome)), encoding="utf-8")

    return made_once("dbt", make)


@pytest.fixture(scope="session")
def data_dir(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is built, in a folder that this process has to itself."""
    folder = tmp_path_factory.mktemp("dbt") / "data"
    copytree(built / "data", folder)
    return folder


@pytest.fixture(scope="session")
def first_night(built: Path) -> Outcome:
    """What became of each node."""
    return Outcome(**json.loads((built / "outcome.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def published(data_dir: Path, first_night: Outcome) -> Iterator[duckdb.DuckDBPyConnection]:
    """The marts of the first night, copied to another name and opened read-only as analysts do."""
    copy = data_dir / "marts-20261120-01.duckdb"
    copy.write_bytes((data_dir / "build" / "serving.duckdb").read_bytes())
    with duckdb.connect(str(copy), read_only=True) as con:
        con.execute("set search_path = 'analyst,marts,meta'")
        yield con
