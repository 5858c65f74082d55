"""Runs dbt commands of the project in this process against a data folder of the test's own."""

import json
import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from unittest import mock

from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

from tests.dbt.factory import REPOSITORY, ZONE

PROJECT = REPOSITORY / "dbt_project"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Status of every node of one command by its name."""

    statuses: dict[str, str]

    def with_status(self, *statuses: str) -> set[str]:
        return {name for name, status in self.statuses.items() if status in statuses}


def run_dbt(data_dir: Path, *arguments: str, as_of: date) -> Outcome:
    """Run one dbt command for a business day; failing nodes are part of the outcome, not an exception."""
    target = data_dir / "target"
    environment = {
        "CDP_DATA_DIR": str(data_dir), "CDP_TIMEZONE": ZONE, "CDP_THREADS": "2", "CDP_MEMORY_LIMIT": "2GB",
        "CDP_AS_OF": as_of.isoformat(),
    }  # fmt: skip
    common = [
        "--project-dir", str(PROJECT),
        "--profiles-dir", str(PROJECT),
        "--target-path", str(target),
        "--log-path", str(data_dir / "logs"),
        "--log-level", "none",
        "--no-print",
    ]  # fmt: skip
    with mock.patch.dict(os.environ, environment):
        try:
            outcome = dbtRunner().invoke([*arguments, *common])
        finally:
            DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    if outcome.exception is not None:
        raise outcome.exception
    results = outcome.result.results  # type: ignore[union-attr]
    return Outcome({result.node.name: str(result.status) for result in results})


def manifest(data_dir: Path) -> dict[str, object]:
    """The manifest that the last command left."""
    document: dict[str, object] = json.loads((data_dir / "target" / "manifest.json").read_text("utf-8"))
    return document
