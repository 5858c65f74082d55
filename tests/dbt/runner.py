"""Runs dbt commands of the project in this process against a data folder of the test's own."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest

from pipelines.settings import PipelineSettings
from pipelines.warehouse.dbt import target_path
from tests.dbt.factory import REPOSITORY, ZONE
from tests.parsed import LendParsed

PROJECT = REPOSITORY / "dbt_project"
# Who lends this process what all test processes parsed; without, it parses the project itself. `conftest` adds one.
LENDERS: list[LendParsed] = []


@dataclass(frozen=True, slots=True)
class Outcome:
    """Status of every node of one command by its name, and how many rows each test found."""

    statuses: dict[str, str]
    failures: dict[str, int]

    def with_status(self, *statuses: str) -> set[str]:
        return {name for name, status in self.statuses.items() if status in statuses}


def run_dbt(data_dir: Path, *arguments: str, as_of: date) -> Outcome:
    """Run one dbt command for a business day; failing nodes are part of the outcome, not an exception."""
    # A command notes in the project what it compiled, so each has a copy.
    target = ("--target-path", str(data_dir / "target"))
    outcome = _invoke(dbtRunner(manifest=_parsed().deepcopy()), data_dir, (*arguments, *target), as_of)
    results = outcome.result.results  # type: ignore[union-attr]
    return Outcome(
        statuses={result.node.name: str(result.status) for result in results},
        failures={result.node.name: result.failures or 0 for result in results},
    )


@cache
def _parsed() -> Manifest:
    """The project, read once: dbt would parse it for each new data folder, though nothing in it depends on that."""
    with TemporaryDirectory() as folder:
        settings = PipelineSettings(data_dir=Path(folder))
        for lend in LENDERS:
            lend(settings)
        target = ["--target-path", str(target_path(settings))]
        project = _invoke(dbtRunner(), settings.data_dir, ["parse", *target], date.min).result
    assert isinstance(project, Manifest)
    return project


def _invoke(dbt: dbtRunner, data_dir: Path, arguments: Sequence[str], as_of: date) -> dbtRunnerResult:
    environment = {
        "CDP_DATA_DIR": str(data_dir), "CDP_TIMEZONE": ZONE, "CDP_THREADS": "2", "CDP_MEMORY_LIMIT": "2GB",
        "CDP_AS_OF": as_of.isoformat(),
    }  # fmt: skip
    common = [
        "--project-dir", str(PROJECT),
        "--profiles-dir", str(PROJECT),
        "--log-path", str(data_dir / "logs"),
        "--log-level", "none",
        "--log-level-file", "none",
        "--no-print",
        "--no-write-json",
    ]  # fmt: skip
    with mock.patch.dict(os.environ, environment):
        try:
            outcome = dbt.invoke([*arguments, *common])
        finally:
            DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    if outcome.exception is not None:
        raise outcome.exception
    return outcome


def publish(data_dir: Path, version: str) -> Path:
    """Serve what is built, as the publish step does: a copy under a name of its own, and the pointer to it."""
    folder = data_dir / "published"
    folder.mkdir(exist_ok=True)
    file = folder / f"marts-{version}.duckdb"
    copyfile(data_dir / "build" / "serving.duckdb", file)
    (folder / "CURRENT").write_text(json.dumps({"version": version, "file": file.name}), "utf-8")
    return file


def manifest() -> dict[str, Any]:
    """The parsed project as dbt writes it to `manifest.json`."""
    document: dict[str, Any] = _parsed().writable_manifest().to_dict(omit_none=False)
    return document
