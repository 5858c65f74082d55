"""Running dbt inside this process, with its answers as values instead of as log lines.

What the models mean lives in `dbt_project/`; Dagster runs the same project through dagster-dbt.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pipelines.settings import PipelineSettings

PROJECT_DIR = Path(__file__).resolve().parents[2] / "dbt_project"

# dbt builds two halves with identity between them: what identity reads, and everything else. `buildable` puts a
# test into the half that holds the last of its parents.
BEFORE_IDENTITY = ("+int_identity", "+int_identity_evidence", "+int_blocked_value")
BUILD_OPTIONS = ("--indirect-selection", "buildable", "--exclude-resource-type", "unit_test")
BUILD_BEFORE_IDENTITY = ("build", "--select", *BEFORE_IDENTITY, *BUILD_OPTIONS)
BUILD_AFTER_IDENTITY = ("build", "--exclude", *BEFORE_IDENTITY, *BUILD_OPTIONS)


@dataclass(frozen=True, slots=True)
class NodeResult:
    """One finished dbt node: a model or a test; `description` is dbt's, for a test what it promises."""

    name: str
    resource_type: str
    status: str
    message: str
    failures: int
    seconds: float
    description: str = ""

    @property
    def failure(self) -> str:
        """Why the node failed, in both languages: a broken promise by its description, an error as it was raised."""
        if self.status == "fail":
            rows = f"check {self.name} found {self.failures} wrong rows / 检查未通过,{self.failures} 行不符合"
            return f"{rows}: {self.description or self.message}"
        return f"{self.resource_type} {self.name} / 执行出错: {self.message}"


class DbtFailedError(Exception):
    """One or more dbt nodes failed; `failed` says which and why."""

    def __init__(self, failed: Sequence[NodeResult], message: str = "") -> None:
        self.failed = tuple(failed)
        listed = "; ".join(node.failure for node in self.failed)
        super().__init__(listed or f"dbt failed / dbt 运行失败: {message}")


def run_dbt(
    settings: PipelineSettings,
    arguments: Sequence[str],
    *,
    as_of: date,
    on_node: Callable[[NodeResult], None] | None = None,
) -> list[NodeResult]:
    """Run one dbt command (`["build", "--select", …]`) and return its nodes' results; raises DbtFailedError.

    Warnings are results with status `warn`; they do not fail the night.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager  # noqa: PLC0415
    from dbt.cli.main import dbtRunner  # noqa: PLC0415  (importing dbt costs seconds; only a night pays them)

    def listen(event: Any) -> None:
        if on_node and event.info.name in {"LogModelResult", "LogTestResult", "LogSnapshotResult"}:
            info = event.data.node_info
            on_node(NodeResult(info.node_name, info.resource_type, info.node_status, "", 0, event.data.execution_time))

    with dbt_environment(settings):
        try:
            outcome = dbtRunner(callbacks=[listen]).invoke([*arguments, *common_arguments(settings, as_of)])
        finally:
            # The adapter keeps its files open for a next command; the steps after this one need them.
            DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    if outcome.exception is not None:
        raise DbtFailedError([], str(outcome.exception)) from outcome.exception
    results = [_node_result(result) for result in getattr(outcome.result, "results", ())]
    failed = [result for result in results if result.status in {"error", "fail"}]
    if failed or not outcome.success:
        raise DbtFailedError(failed)
    return results


def common_arguments(settings: PipelineSettings, as_of: date) -> list[str]:
    """The options that every dbt command of ours takes; global ones included, so that dbt stays quiet."""
    return [
        "--project-dir", str(PROJECT_DIR),
        "--profiles-dir", str(PROJECT_DIR),
        "--target-path", str(target_path(settings)),
        "--log-path", str(settings.folders.build.resolve() / "dbt_logs"),
        "--log-level", "none",
        "--no-print",
        "--vars", json.dumps({"as_of": as_of.isoformat()}),
    ]  # fmt: skip


def target_path(settings: PipelineSettings) -> Path:
    """Where dbt keeps its manifest and its parse cache; beside the data, so that two data directories never meet."""
    return settings.folders.build.resolve() / "dbt_target"


@contextmanager
def dbt_environment(settings: PipelineSettings) -> Iterator[None]:
    """The environment variables that `profiles.yml` reads, set for the time of one command."""
    ours = dbt_variables(settings)
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def dbt_variables(settings: PipelineSettings) -> dict[str, str]:
    """What `profiles.yml` reads, by name."""
    return {
        "CDP_DATA_DIR": str(settings.data_dir.resolve()),
        "CDP_TIMEZONE": settings.timezone,
        "CDP_THREADS": str(settings.threads),
        "CDP_MEMORY_LIMIT": settings.memory_limit,
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


def project_digest() -> str:
    """A hash of every file that decides what dbt builds: a changed model is a reason to build again."""
    digest = hashlib.sha256()
    for file in sorted(PROJECT_DIR.rglob("*")):
        relative = file.relative_to(PROJECT_DIR)
        if file.is_file() and file.suffix in {".sql", ".yml", ".csv"} and relative.parts[0] not in {"target", "logs"}:
            digest.update(str(relative).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _node_result(result: Any) -> NodeResult:
    return NodeResult(
        name=result.node.name,
        resource_type=str(result.node.resource_type),
        status=str(result.status),
        message=(result.message or "").strip(),
        failures=result.failures or 0,
        seconds=result.execution_time,
        description=result.node.description,
    )
