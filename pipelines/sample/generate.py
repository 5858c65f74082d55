"""Write a whole sample: landing batches for every contract, and the truth beside them.

`write_sample` is the only public function of this package. What is in the rows belongs to the modules `chunk` names,
what is wrong with some of them to `dirt`.
"""

import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.sample.batches import by_batch
from pipelines.sample.campaigns import campaign_tables
from pipelines.sample.chain import chain_tables
from pipelines.sample.contracts import contracts
from pipelines.sample.dirt import write_dirt
from pipelines.sample.shard import Made, Order, make_shard, shards_of, unpacked
from pipelines.sample.world import World, world_of
from pipelines.sample.writers import MANIFEST, BatchFiles, WrittenFile, batches_of, write_manifest
from segment_engine.runtime.folders import DataFolders

PROCESSES = 2
TRUTH_FOLDER = "sample_truth"
Progress = Callable[[str, int], None]


class SampleInTheWayError(ValueError):
    """Batches of another sample, or of a real source, stand where this one would be written."""


@dataclass(frozen=True, slots=True)
class SampleSummary:
    """What was written: rows by `<source>/<table>`, all batches, dirt not counted."""

    customers: int
    rows_by_table: dict[str, int]
    seconds: float
    rows_per_second: float


def write_sample(
    folders: DataFolders,
    *,
    customers: int,
    days: int,
    seed: int,
    end_on: date,
    dirty: bool,
    zone: ZoneInfo,
    activity_scale: float = 1.0,
    on_progress: Progress | None = None,
) -> SampleSummary:
    """Write the landing batches of a dental chain with `customers` persons and `days` of activity up to `end_on`.

    The same arguments give the same bytes. Batches that already stand there with the same content are left alone.
    `on_progress(table, rows)` is told of rows as they are written. Beside `landing/`, `sample_truth/` gets
    `truth.parquet` (the person behind every identity) and, when `dirty`, `dirt.json`.

    Raises ValueError for fewer than 1 customer or 10 days, SampleInTheWayError when another batch has one of our names.
    """
    if customers < 1 or days < 10:
        raise ValueError(f"a sample needs at least 1 customer and 10 days, not {customers} and {days}")
    started = time.perf_counter()
    folders.root.mkdir(parents=True, exist_ok=True)
    building = folders.root / f".{TRUTH_FOLDER}-building"
    shutil.rmtree(building, ignore_errors=True)
    order = Order(
        customers=customers,
        days=days,
        seed=seed,
        end_on=end_on,
        zone=zone,
        scale=activity_scale,
        landing=building / "landing",
        truth=building / TRUTH_FOLDER,
    )
    order.landing.mkdir(parents=True)
    order.truth.mkdir()
    try:
        world = world_of(customers=customers, days=days, seed=seed, end_on=end_on, zone=zone, scale=activity_scale)
        rows = _write_batches(order, world, on_progress or (lambda table, count: None))
        if dirty:
            write_dirt(order, world)
        _join_truth(order.truth)
        _settle(order.landing, folders.landing)
        _settle_truth(order.truth, folders.root / TRUTH_FOLDER)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    seconds = time.perf_counter() - started
    return SampleSummary(customers, rows, seconds, sum(rows.values()) / seconds)


def _write_batches(order: Order, world: World, on_progress: Progress) -> dict[str, int]:
    files: dict[str, list[WrittenFile]] = {}
    daily: dict[str, list[list[bytes]]] = {}
    for made in _shards(order):
        for table, written in made.files.items():
            files.setdefault(table, []).extend(written)
            daily.setdefault(table, []).append(made.daily[table])
            on_progress(table, sum(file.row_count for file in written))
    static = chain_tables(world.chain, seed=order.seed, season=world.season) | campaign_tables(
        world.chain, world.season
    )
    counts: dict[str, int] = {}
    for table in contracts():
        frames = by_batch(static[table], world.season.cutoffs) if table in static else None
        counts[table] = _write_table(order, world, table, frames, files.get(table, []), daily.get(table, []))
        on_progress(table, counts[table] - sum(file.row_count for file in files.get(table, [])))
    return counts


def _shards(order: Order) -> Iterator[Made]:
    shards = shards_of(order.customers)
    if len(shards) == 1:
        yield make_shard(order, 0, shards[0])
        return
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(make_shard, [order] * len(shards), range(len(shards)), shards)


def _write_table(
    order: Order,
    world: World,
    table: str,
    frames: list[pl.DataFrame] | None,
    initial: list[WrittenFile],
    daily: list[list[bytes]],
) -> int:
    """Write the batches of one table that are not there yet, and all its manifests; rows of all batches."""
    contract, total = contracts()[table], 0
    for number, batch in enumerate(batches_of(order.end_on, order.days)):
        folder = order.landing / table / batch.batch_id
        written = initial if number == 0 else []
        if frames is not None:
            written = _write_files(folder, table, world, frames[number])
        elif number > 0:
            rows = pl.concat([unpacked(parts[number - 1]) for parts in daily])
            written = _write_files(folder, table, world, rows)
        write_manifest(folder, contract, batch, written, order.zone)
        total += sum(file.row_count for file in written)
    return total


def _write_files(folder: Path, table: str, world: World, rows: pl.DataFrame) -> list[WrittenFile]:
    files = BatchFiles(folder, contracts()[table], world.offsets, label="0001")
    files.add(rows)
    return files.close()


def _join_truth(folder: Path) -> None:
    writer: pq.ParquetWriter | None = None
    for part in sorted(folder.glob("part-*.arrow")):
        table: pa.Table = pl.read_ipc(part).to_arrow(compat_level=pl.CompatLevel.oldest())
        if writer is None:
            path = str(folder / "truth.parquet")
            writer = pq.ParquetWriter(path, table.schema, compression="snappy", store_schema=False)
        writer.write_table(table)
        part.unlink()
    if writer is not None:
        writer.close()


def _settle(built: Path, landing: Path) -> None:
    """Move the batches into place, each by one rename; refuse before the first when another stands in the way."""
    batches = sorted(path for path in built.glob("*/*/*") if path.is_dir())
    standing = [batch for batch in batches if (landing / batch.relative_to(built)).exists()]
    strangers = [str(b.relative_to(built)) for b in standing if not _same(b, landing / b.relative_to(built))]
    if strangers:
        raise SampleInTheWayError(
            f"{len(strangers)} batches in {landing} differ from the ones to be written, for example {strangers[0]}; "
            "use another data folder or remove them / 落地目录中已有不同的批次,请更换数据目录或先删除"
        )
    for batch in batches:
        if batch not in standing:
            target = landing / batch.relative_to(built)
            target.parent.mkdir(parents=True, exist_ok=True)
            batch.rename(target)


def _same(ours: Path, theirs: Path) -> bool:
    """Whether two batches have the same manifest; two unsealed folders count as the same."""
    texts = [path.read_bytes() if path.exists() else b"" for path in (ours / MANIFEST, theirs / MANIFEST)]
    return texts[0] == texts[1]


def _settle_truth(built: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for path in sorted(built.iterdir()):
        path.replace(target / path.name)
