"""Running dbt inside this process, with its answers as values instead of as log lines.

What the models mean lives in `dbt_project/`; Dagster runs the same project through dagster-dbt.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from threading import Thread
from typing import Any, Self

from pipelines.settings import PipelineSettings
from pipelines.telling import without_values

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


class DbtSession:
    """dbt for the commands of one business day; told to parse ahead, they share one parsed project.

    Tests named in `accepted` warn where they would fail.
    A context manager; the environment variables that the project reads are set while it is open. Only the thread that
    opened it may run commands, one after another.
    """

    def __init__(self, settings: PipelineSettings, as_of: date, *, accepted: Sequence[str] = ()) -> None:
        self._settings = settings
        self._as_of = as_of
        self._accepted = accepted
        self._manifest: Any = None
        self._parsing: Thread | None = None
        self._environment = ExitStack()

    def __enter__(self) -> Self:
        self._environment.enter_context(dbt_environment(self._settings, self._as_of, accepted=self._accepted))
        return self

    def __exit__(self, *_error: object) -> None:
        self._wait()
        self._environment.close()

    def parse_ahead(self) -> None:
        """Import dbt and parse the project in the background; asking again does nothing.

        Neither opens the warehouse. What goes wrong here goes wrong again in `run`, which reports it.
        """
        if self._parsing is None:
            self._parsing = Thread(target=self._parse, name="parse dbt project")
            self._parsing.start()

    def run(self, arguments: Sequence[str], *, on_node: Callable[[NodeResult], None] | None = None) -> list[NodeResult]:
        """Run one command (`["build", "--select", …]`) and return its nodes' results; raises DbtFailedError.

        Warnings are results with status `warn`; they do not fail the night.
        """
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager  # noqa: PLC0415

        def listen(event: Any) -> None:
            if on_node and event.info.name in {"LogModelResult", "LogTestResult", "LogSnapshotResult"}:
                info = event.data.node_info
                seconds = event.data.execution_time
                on_node(NodeResult(info.node_name, info.resource_type, info.node_status, "", 0, seconds))

        self._wait()
        try:
            outcome = self._invoke(arguments, [listen])
        finally:
            # The adapter keeps its files open for a next command; the steps after this one need them.
            DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
        if outcome.exception is not None:
            raise DbtFailedError([], without_values(str(outcome.exception))) from outcome.exception
        results = [_node_result(result) for result in getattr(outcome.result, "results", ())]
        failed = [result for result in results if result.status in {"error", "fail"}]
        if failed or not outcome.success:
            raise DbtFailedError(failed)
        return results

    def _parse(self) -> None:
        outcome = self._invoke(["parse"], [])
        self._manifest = outcome.result if outcome.success else None

    def _invoke(self, arguments: Sequence[str], callbacks: list[Callable[[Any], None]]) -> Any:
        from dbt.cli.main import dbtRunner  # noqa: PLC0415  (importing dbt costs seconds; only a night pays them)

        # `parse` has written the manifest that the catalogue is made from; a build given it would write it once more.
        written = () if self._manifest is None else ("--no-write-json",)
        runner = dbtRunner(manifest=self._manifest, callbacks=callbacks)
        return runner.invoke([*arguments, *common_arguments(self._settings), *written])

    def _wait(self) -> None:
        if self._parsing is not None:
            self._parsing.join()


def run_dbt(
    settings: PipelineSettings,
    arguments: Sequence[str],
    *,
    as_of: date,
    on_node: Callable[[NodeResult], None] | None = None,
) -> list[NodeResult]:
    """Run one dbt command in a session of its own; raises DbtFailedError."""
    with DbtSession(settings, as_of) as dbt:
        return dbt.run(arguments, on_node=on_node)


def common_arguments(settings: PipelineSettings) -> list[str]:
    """The options that every dbt command of ours takes; global ones included, so that dbt stays quiet."""
    return [
        "--project-dir", str(PROJECT_DIR),
        "--profiles-dir", str(PROJECT_DIR),
        "--target-path", str(target_path(settings)),
        "--log-path", str(settings.folders.build.resolve() / "dbt_logs"),
        "--log-level", "none",
        "--log-level-file", "error",
        "--no-print",
    ]  # fmt: skip


def target_path(settings: PipelineSettings) -> Path:
    """Where dbt keeps its manifest and its parse cache; beside the data, so that two data directories never meet."""
    return settings.folders.build.resolve() / "dbt_target"


@contextmanager
def dbt_environment(settings: PipelineSettings, as_of: date, *, accepted: Sequence[str] = ()) -> Iterator[None]:
    """The environment variables that the project reads, set for as long as its commands run.

    The business day and the tests that only warn are among them because dbt parses the whole project anew when `--vars`
    differ from last night's.
    """
    ours = dbt_variables(settings) | {"CDP_AS_OF": as_of.isoformat(), "CDP_ACCEPTED_CHECKS": ",".join(accepted)}
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
    """What `profiles.yml` and dbt itself read, by name."""
    return {
        "CDP_DATA_DIR": str(settings.data_dir.resolve()),
        "CDP_TIMEZONE": settings.timezone,
        "CDP_THREADS": str(settings.threads),
        "CDP_MEMORY_LIMIT": settings.memory_limit,
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        # Below it dagster-dbt keeps dbt's logs and results, which may quote values: among the data, not the code.
        "DBT_TARGET_PATH": str(target_path(settings)),
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
        message=without_values((result.message or "").strip()),
        failures=result.failures or 0,
        seconds=result.execution_time,
        description=result.node.description,
    )
