"""When things run by themselves: the nightly job and schedule, and the report of a failed run."""

import dagster as dg

from pipelines.clock import SystemClock
from pipelines.defs.breaker import accepted_in
from pipelines.defs.partitions import BUSINESS_DAYS
from pipelines.defs.refresh import refresh_job
from pipelines.defs.resources import run_times
from pipelines.nightly import record_failure
from pipelines.settings import PipelineSettings

nightly_job = dg.define_asset_job(
    "nightly",
    selection=dg.AssetSelection.all(),
    partitions_def=BUSINESS_DAYS,
    description="Everything from landing to publish for one business day (夜间任务).",
)

nightly_schedule = dg.build_schedule_from_partitioned_job(
    nightly_job,
    name="nightly_at_0030",
    hour_of_day=0,
    minute_of_hour=30,
    description="Every night at 00:30 in the tenant's zone, for the day that just ended.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)


@dg.run_failure_sensor(
    name="report_failed_run",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes the failed run where `cdp status` reads it, with the first error of each failed step.",
)
def report_failed_run(context: dg.RunFailureSensorContext) -> None:
    """Keep what an operator needs to know about a failed run."""
    if context.dagster_run.job_name == refresh_job.name:
        return  # it leaves its own record
    settings = PipelineSettings()
    failed_steps = context.get_step_failure_events()
    reasons = [
        f"{event.step_key}: {event.step_failure_data.error_display_string.splitlines()[0]}" for event in failed_steps
    ]
    run_id = context.dagster_run.run_id
    record_failure(
        settings,
        run_id=run_id,
        as_of=context.dagster_run.tags.get("dagster/partition", "—"),
        times=run_times(context.instance, run_id, now=SystemClock(settings.zone).now()),
        reasons=reasons or [context.failure_event.message or "the run failed before its first step"],
        accepted=accepted_in(context.dagster_run),
    )
