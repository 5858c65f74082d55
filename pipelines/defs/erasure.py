"""The erasure asset: what was ordered is carried out before anything is ingested."""

import dagster as dg

from pipelines import steps
from pipelines.defs.partitions import BUSINESS_DAYS, SINGLE_RUN
from pipelines.defs.resources import OWNERS, POOL, Platform, business_day

ERASED = dg.AssetKey(["ingest", "erasure"])


@dg.asset(
    key=ERASED,
    group_name="ingest_erasure",
    owners=OWNERS,
    kinds={"duckdb"},
    description="One row per erasure request whose customer the working files do not know any more (个人信息删除).",
    partitions_def=BUSINESS_DAYS,
    backfill_policy=SINGLE_RUN,
    pool=POOL,
)
def erasures(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult[None]:
    """Take the customers of open requests out of the working files, so that ingest replays landing without them."""
    day, now = business_day(context), platform.clock().now()
    with platform.writing("erase", day) as settings:
        due = steps.erasures_due(settings)
        report = steps.erase(settings, day, due, now=now) if due else steps.StepReport(rows=0)
    return dg.MaterializeResult(metadata={"identities": report.rows, **report.facts})
