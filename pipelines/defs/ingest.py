"""Ingest assets: one multi-asset a source, one asset a raw table."""

from collections import defaultdict
from collections.abc import Iterator

import dagster as dg

from pipelines import steps
from pipelines.defs.erasure import ERASED
from pipelines.defs.partitions import BUSINESS_DAYS, SINGLE_RUN
from pipelines.defs.resources import OWNERS, POOL, Platform, business_day
from pipelines.ingest.contracts import Contract, load_contracts, raw_table_name
from pipelines.warehouse.load import BatchResult


def raw_key(contract: Contract) -> dg.AssetKey:
    """The asset of one raw table."""
    return dg.AssetKey(["raw", raw_table_name(contract)])


def _ingest_asset(source: str, contracts: list[Contract]) -> dg.AssetsDefinition:
    specs = [
        dg.AssetSpec(
            raw_key(contract),
            deps=[ERASED],
            description=contract.grain,
            group_name=f"ingest_{source}",
            owners=OWNERS,
            kinds={"duckdb", "file"},
            metadata={"key": ", ".join(contract.key), "columns": len(contract.columns)},
        )
        for contract in contracts
    ]

    @dg.multi_asset(
        name=f"ingest_{source}",
        specs=specs,
        partitions_def=BUSINESS_DAYS,
        backfill_policy=SINGLE_RUN,
        pool=POOL,
        retry_policy=dg.RetryPolicy(max_retries=2, delay=30),
    )
    def ingest_source(context: dg.AssetExecutionContext, platform: Platform) -> Iterator[dg.MaterializeResult[None]]:
        by_table: dict[str, list[BatchResult]] = defaultdict(list)
        with platform.writing(f"ingest {source}", business_day(context)) as settings:
            steps.ingest(
                settings,
                business_day(context),
                sources=[source],
                on_batch=lambda result: by_table[result.table].append(result),
                now=platform.clock().now(),
            )
        for contract in contracts:
            results = by_table[contract.table]
            yield dg.MaterializeResult(
                asset_key=raw_key(contract),
                metadata={
                    "dagster/row_count": sum(result.loaded for result in results),
                    "rows_quarantined": sum(result.rejected for result in results),
                    "rows_erased": sum(result.erased for result in results),
                    "batches_loaded": sum(result.status == "loaded" for result in results),
                    "batches_refused": sum(result.status == "refused" for result in results),
                    "refusals": dg.MetadataValue.json(
                        [{"batch": result.batch_id, "problems": [problem.code for problem in result.problems]}
                         for result in results if result.status == "refused"]
                    ),
                },
            )  # fmt: skip

    return ingest_source


def _by_source() -> dict[str, list[Contract]]:
    grouped: dict[str, list[Contract]] = defaultdict(list)
    for contract in load_contracts().values():
        grouped[contract.source].append(contract)
    return dict(sorted(grouped.items()))


ingest_assets = [_ingest_asset(source, contracts) for source, contracts in _by_source().items()]
