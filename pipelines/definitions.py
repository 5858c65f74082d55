"""Dagster's entry point: everything it knows about us, assembled from `pipelines.defs`."""

import dagster as dg

from pipelines.defs.audit import published_version_is_whole
from pipelines.defs.automation import nightly_job, nightly_schedule, report_failed_run
from pipelines.defs.erasure import erasures
from pipelines.defs.identity import identity_assets
from pipelines.defs.ingest import ingest_assets
from pipelines.defs.publish import audience_members, engine_tables, published_marts
from pipelines.defs.refresh import refresh_job, something_arrived
from pipelines.defs.resources import Platform, dbt_resource
from pipelines.defs.transform import identity_inputs, marts_and_checks

defs = dg.Definitions(
    assets=[
        erasures,
        *ingest_assets,
        identity_inputs,
        identity_assets,
        marts_and_checks,
        engine_tables,
        audience_members,
        published_marts,
    ],
    asset_checks=[published_version_is_whole],
    jobs=[nightly_job, refresh_job],
    schedules=[nightly_schedule],
    sensors=[report_failed_run, something_arrived],
    resources={"platform": Platform(), "dbt": dbt_resource()},
    # One process: the warehouse has one writer anyway, and a process per step would import dbt each time.
    executor=dg.in_process_executor,
)
