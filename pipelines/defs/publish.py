"""The engine's tables and the published version that holds them, as assets."""

from datetime import timedelta

import dagster as dg

from pipelines import steps
from pipelines.defs.breaker import accepted_in
from pipelines.defs.partitions import BUSINESS_DAYS, SINGLE_RUN
from pipelines.defs.resources import OWNERS, POOL, Platform, business_day, run_times
from pipelines.defs.transform import marts_and_checks
from pipelines.nightly import record_success
from pipelines.settings import PipelineSettings

ENGINE = dg.AssetKey(["engine", "tables"])
AUDIENCES = dg.AssetKey(["audiences", "members"])
PUBLISHED = dg.AssetKey(["published", "marts"])


@dg.asset(
    key=ENGINE,
    deps=sorted(marts_and_checks.keys),
    group_name="publish",
    owners=OWNERS,
    kinds={"duckdb"},
    description="Coded copies of customers and activity in which many filters are evaluated at once (筛选引擎).",
    partitions_def=BUSINESS_DAYS,
    backfill_policy=SINGLE_RUN,
    pool=POOL,
)
def engine_tables(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult[None]:
    """Bring the schema `engine` to what the marts hold."""
    day = business_day(context)
    with platform.writing("engine", day) as settings:
        report = steps.build_engine_tables(settings, day)
    return dg.MaterializeResult(metadata={"dagster/row_count": report.rows, **report.facts})


@dg.asset(
    key=AUDIENCES,
    deps=[ENGINE],
    group_name="publish",
    owners=OWNERS,
    kinds={"duckdb", "parquet"},
    description="Who is in smart tags and segments (智能标签与智能分群), and analysts' tables of all audiences.",
    partitions_def=BUSINESS_DAYS,
    backfill_policy=SINGLE_RUN,
    pool=POOL,
)
def audience_members(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult[None]:
    """Calculate all that are enabled; they count once this version is published."""
    day, now = business_day(context), platform.clock().now()
    with platform.writing("audiences", day) as settings:
        report = steps.calculate_audiences(settings, day, now=now)
    return dg.MaterializeResult(metadata={"dagster/row_count": report.rows, **report.facts})


@dg.asset(
    key=PUBLISHED,
    deps=[*sorted(marts_and_checks.keys), ENGINE, AUDIENCES],
    group_name="publish",
    owners=OWNERS,
    kinds={"duckdb"},
    description="The immutable file that API and analysts read (已发布版本), and the pointer CURRENT.",
    partitions_def=BUSINESS_DAYS,
    backfill_policy=SINGLE_RUN,
    pool=POOL,
    # Runs at 00:30; at 08:00 clinics open and expect yesterday.
    freshness_policy=dg.FreshnessPolicy.cron(
        deadline_cron="0 8 * * *", lower_bound_delta=timedelta(hours=8), timezone=PipelineSettings().timezone
    ),
)
def published_marts(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult[None]:
    """Publish what was built and checked for this business day."""
    day, now = business_day(context), platform.clock().now()
    with platform.writing("publish", day) as settings:
        accepted = accepted_in(context.run)
        publication, report = steps.publish(settings, day, run_id=context.run_id, now=now, accepted=accepted)
        times = run_times(context.instance, context.run_id, now=platform.clock().now())
        record_success(
            settings,
            run_id=context.run_id,
            as_of=day,
            times=times,
            publication=publication,
            accepted=accepted,
        )
    metadata = {"dagster/row_count": report.rows, **report.facts, "sha256": publication.pointer.sha256}
    return dg.MaterializeResult(metadata=metadata)
