"""A shard: consecutive chunks whose initial rows become files of their own; the unit of parallel work.

How many shards a sample has depends on its size alone, so the files do not depend on how many processes wrote them.
"""

import io
from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from pipelines.sample.batches import by_batch
from pipelines.sample.chunk import chunk_tables
from pipelines.sample.contracts import contracts
from pipelines.sample.world import CHUNK, world_of
from pipelines.sample.writers import BatchFiles, WrittenFile, batches_of

SHARD_CUSTOMERS = 125_000
ONE_SHARD_UP_TO = 50_000


@dataclass(frozen=True, slots=True)
class Order:
    """What to make: the arguments of a sample, small enough to send to another process."""

    customers: int
    days: int
    seed: int
    end_on: date
    zone: ZoneInfo
    scale: float
    landing: Path
    truth: Path


@dataclass(frozen=True, slots=True)
class Made:
    """What one shard hands on: its initial files, and the rows of the daily batches as Arrow bytes."""

    files: dict[str, list[WrittenFile]]
    daily: dict[str, list[bytes]]


def shards_of(customers: int) -> list[range]:
    """The chunks of each shard: one shard up to 50,000 customers, then an even number of near-equal ones."""
    chunks = -(-customers // CHUNK)
    if customers <= ONE_SHARD_UP_TO:
        return [range(chunks)]
    wanted = -(-customers // SHARD_CUSTOMERS)
    count = min(chunks, max(2, wanted + wanted % 2))
    edges = [chunks * number // count for number in range(count + 1)]
    return [range(edges[number], edges[number + 1]) for number in range(count)]


def make_shard(order: Order, number: int, chunks: range) -> Made:
    """Write the initial files of a shard and its part of the truth; return what belongs to the daily batches."""
    world = world_of(
        customers=order.customers,
        days=order.days,
        seed=order.seed,
        end_on=order.end_on,
        zone=order.zone,
        scale=order.scale,
    )
    initial = batches_of(order.end_on, order.days)[0]
    label = f"{number + 1:04d}"
    writers: dict[str, BatchFiles] = {}
    daily: dict[str, list[list[pl.DataFrame]]] = defaultdict(list)
    truth: list[pl.DataFrame] = []
    for chunk in chunks:
        for table, rows in chunk_tables(world, chunk):
            if isinstance(rows, pl.DataFrame):
                truth.append(rows)
                continue
            first, *later = by_batch(rows, world.season.cutoffs)
            if table not in writers:
                folder = order.landing / table / initial.batch_id
                writers[table] = BatchFiles(folder, contracts()[table], world.offsets, label=label)
            writers[table].add(first)
            daily[table].append(later)
    pl.concat(truth).write_ipc(order.truth / f"part-{label}.arrow")
    return Made(
        files={table: writer.close() for table, writer in writers.items()},
        daily={
            table: [_packed([parts[d] for parts in frames]) for d in range(len(frames[0]))]
            for table, frames in daily.items()
        },
    )


def _packed(frames: list[pl.DataFrame]) -> bytes:
    out = io.BytesIO()
    pl.concat(frames).write_ipc(out)
    return out.getvalue()


def unpacked(data: bytes) -> pl.DataFrame:
    """Rows that came from another process."""
    return pl.read_ipc(io.BytesIO(data))
