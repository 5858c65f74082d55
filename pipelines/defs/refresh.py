"""The refresh between nights: a job of one step, and the sensor that starts it when something arrived."""

import dagster as dg

from pipelines.defs.resources import POOL, Platform
from pipelines.defs.telling import values_kept_back
from pipelines.refresh import check_refresh, refresh
from pipelines.steps import BusinessDayError
from pipelines.warehouse.landing import newest_seal

SECONDS_BETWEEN_LOOKS = 15


@dg.op(
    name="refresh",
    pool=POOL,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30),
    description="Load, resolve and publish what arrived today (日间刷新).",
)
def refresh_op(context: dg.OpExecutionContext, platform: Platform) -> None:
    """The day's own night, early."""
    with values_kept_back():
        try:
            record = refresh(platform.settings(), clock=platform.clock())
        except BusinessDayError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
    context.log.info(f"{record.status}: version {record.version} of {record.as_of}, {record.seconds:.0f} s")


@dg.job(name="identity_refresh", description="Resolve today's new identities while the day goes on (日间刷新).")
def refresh_job() -> None:
    """One step."""
    refresh_op()


@dg.sensor(
    name="something_arrived",
    job=refresh_job,
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Starts a refresh when a batch was sealed; turn it on where sources deliver during the day (有新批次).",
)
def something_arrived(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult:
    """One run for all that arrived since the last look; none before yesterday's night is published."""
    settings = platform.settings()
    newest = newest_seal(settings.folders)
    mark = "" if newest is None else str(newest)
    if mark in ("", context.cursor):
        return dg.SensorResult(skip_reason=dg.SkipReason("nothing arrived / 没有新批次"))
    try:
        check_refresh(settings, platform.clock().now())
    except BusinessDayError as error:
        return dg.SensorResult(skip_reason=dg.SkipReason(str(error)))
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=mark)], cursor=mark)
