"""Partitions: one per business day in the tenant's zone."""

import dagster as dg

from pipelines.settings import PipelineSettings

# A backfilled range is one run whose night is the range's last day: ingest loads every day of it in order.
SINGLE_RUN = dg.BackfillPolicy.single_run()


def business_days() -> dg.DailyPartitionsDefinition:
    """One partition a day since `CDP_FIRST_BUSINESS_DAY`; yesterday is the newest."""
    settings = PipelineSettings()
    return dg.DailyPartitionsDefinition(start_date=settings.first_business_day.isoformat(), timezone=settings.timezone)


BUSINESS_DAYS = business_days()
