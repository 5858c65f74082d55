"""The identity asset: one run of OneID between dbt's intermediate and marts layers."""

from collections.abc import Iterator

import dagster as dg

from pipelines import steps
from pipelines.defs.partitions import BUSINESS_DAYS, SINGLE_RUN
from pipelines.defs.resources import OWNERS, POOL, Platform, business_day

INPUTS = [
    dg.AssetKey(["intermediate", name]) for name in ("int_identity", "int_identity_evidence", "int_blocked_value")
]
TABLES = {
    "assignment": "One row per identity ever seen: the customer it belongs to (身份归属).",
    "registry": "One row per one_id ever minted (客户编号登记).",
    "event": "One row per change of an identity or a one_id (身份变更记录), append-only.",
    "value_state": "One row per phone or unionid that is not simply ok (共用号码状态).",
    "conflict": "One row per refused link (身份冲突).",
    "override_seen": "One row per operator row in force that night (生效的人工规则).",
}


@dg.multi_asset(
    name="identity",
    specs=[
        dg.AssetSpec(
            ["identity", name],
            deps=INPUTS,
            description=text,
            group_name="identity",
            owners=OWNERS,
            kinds={"duckdb", "numpy"},
        )
        for name, text in TABLES.items()
    ],
    partitions_def=BUSINESS_DAYS,
    backfill_policy=SINGLE_RUN,
    pool=POOL,
)
def identity_assets(context: dg.AssetExecutionContext, platform: Platform) -> Iterator[dg.MaterializeResult[None]]:
    """Resolve every identity for the night."""
    with platform.writing("identity", business_day(context)) as settings:
        report = steps.resolve_identity(settings, business_day(context))
    for name in TABLES:
        metadata = {"identities": report.rows, **report.facts} if name == "assignment" else {}
        yield dg.MaterializeResult(asset_key=dg.AssetKey(["identity", name]), metadata=metadata)
