"""What assets are handed: the platform's settings and clock, and dbt."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path

import dagster as dg
from dagster_dbt import DbtCliResource, DbtProject

from pipelines.clock import Clock, SystemClock
from pipelines.defs.telling import values_kept_back
from pipelines.nightly import RunTimes
from pipelines.settings import PipelineSettings
from pipelines.steps import BusinessDayError, check_business_day
from pipelines.warehouse.dbt import PROJECT_DIR, dbt_variables, target_path
from pipelines.warehouse.lock import writer_lock

POOL = "warehouse"
OWNERS = ["team:data"]


class Platform(dg.ConfigurableResource[None]):
    """Settings, clock and the writer lock; reads the environment when asked, so tests can change it."""

    def settings(self) -> PipelineSettings:
        return PipelineSettings()

    def clock(self) -> Clock:
        return SystemClock(self.settings().zone)

    @contextmanager
    def writing(self, step: str, day: date) -> Iterator[PipelineSettings]:
        """Settings for a step that writes, with the lock held; a night run from a shell waits or is waited for.

        A day that no night can run fails the step before any work; trying again would not help. What fails in the block
        reaches Dagster without values of cells.
        """
        settings = self.settings()
        with (
            values_kept_back(),
            writer_lock(settings.folders, wait_seconds=max(settings.lock_wait_seconds, 600), owner=f"dagster {step}"),
        ):
            try:
                check_business_day(settings, day, today=self.clock().now().date())
            except BusinessDayError as error:
                raise dg.Failure(str(error), allow_retries=False) from error
            yield settings


def business_day(context: dg.AssetExecutionContext) -> date:
    """The business day a run covers: its partition, or the last of a range: a night covers all days before it."""
    return date.fromisoformat(context.partition_key_range.end)


def run_times(instance: dg.DagsterInstance, run_id: str, *, now: datetime) -> RunTimes:
    """When the steps of a run began and ended, as Dagster noted; one that still runs ends now."""
    spans = sorted(
        (stats.start_time, stats.end_time or now.timestamp(), stats.step_key)
        for stats in instance.get_run_step_stats(run_id)
        if stats.start_time is not None
    )
    return RunTimes(
        started=datetime.fromtimestamp(spans[0][0], now.tzinfo) if spans else now,
        finished=now,
        steps=[(name, end - start) for start, end, name in spans],
    )


def dbt_project() -> DbtProject:
    """The dbt project with its manifest; the manifest is written here when it is missing."""
    settings = PipelineSettings()
    os.environ.update(dbt_variables(settings))
    # dagster-dbt looks for `dbt` on PATH, where `.venv/bin` need not be.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    target = target_path(settings)
    target.mkdir(parents=True, exist_ok=True)
    project = DbtProject(project_dir=PROJECT_DIR, profiles_dir=PROJECT_DIR, target_path=target)
    project.prepare_if_dev()
    if not project.manifest_path.exists():
        project.preparer.prepare(project)
    return project


def dbt_resource() -> DbtCliResource:
    """dbt as a subprocess, as dagster-dbt streams it."""
    return DbtCliResource(project_dir=dbt_project())
