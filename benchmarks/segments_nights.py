"""What follows a night's evaluation: who entered and who left since the day before, their log, and the bitmaps kept.

Beside it, the same difference by two anti joins over long tables of rule and customer. How memberships are stored by
the platform is not decided here; the Parquet files stand for any store of packed words and sorted keys.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.segments_rules import make_rules
from benchmarks.segments_world import Formulas, World, formulas_of
from segment_engine.plan import plan
from segment_engine.predicates import InAudience
from segment_engine.runtime.audiences import AudienceReader
from segment_engine.runtime.bitmaps import Bitmap, changes

T = TypeVar("T")
Days = Mapping[int, tuple[Bitmap, Bitmap]]


@dataclass(frozen=True, slots=True)
class Cost:
    """On the clock, and of all threads."""

    seconds: float
    processor_seconds: float


def measure_night(world: World, formulas: Formulas) -> Mapping[str, Any]:
    """Costs by step, with the number of memberships and of changes."""
    days = _two_days(world, formulas)
    with tempfile.TemporaryDirectory() as folder:
        difference, changed = _timed(lambda: {number: changes(*bitmaps) for number, bitmaps in days.items()})
        log, _ = _timed(lambda: _write_log(changed, Path(folder) / "log.parquet"))
        bitmaps, _ = _timed(lambda: _write_bitmaps(days, Path(folder) / "members.parquet"))
        joined, joins = _anti_joins(world, days)
        sizes = {file.stem: file.stat().st_size / 2**20 for file in Path(folder).iterdir()}
    entered, left = (sum(len(one[side]) for one in changed.values()) for side in (0, 1))
    assert (entered, left) == joined
    costs = {"difference": difference, "log": log, "bitmaps": bitmaps, "anti joins": joins}
    return {
        "memberships": sum(len(after) for _, after in days.values()),
        "entered": entered,
        "left": left,
        "mib": sizes,
        "costs": {name: [cost.seconds, cost.processor_seconds] for name, cost in costs.items()},
    }


def _two_days(world: World, formulas: Formulas) -> Days:
    """The members of every rule the day before, by the customers of today, and today."""
    rules = make_rules(len(formulas), world.clinics)
    yesterday = formulas_of(world, rules, world.as_of - timedelta(days=1))
    before, after = (_members(world, one) for one in (yesterday, formulas))
    return {key.id: (before[key], after[key]) for key in formulas}


def _members(world: World, formulas: Formulas) -> Mapping[Any, Bitmap]:
    def none(one: InAudience) -> Bitmap:
        raise AssertionError(f"{one} is no rule of the plan")

    return AudienceReader(world.connection, world.version(), none).read(plan(formulas)).members  # type: ignore[arg-type]


def _write_log(changed: Mapping[int, tuple[npt.NDArray[np.int64], ...]], file: Path) -> None:
    """A row per change: rule, customer, entered or left."""
    parts = [(number, side, keys) for number, both in changed.items() for side, keys in enumerate(both)]
    sizes = [len(keys) for _, _, keys in parts]
    table = pa.table(
        {
            "rule": np.repeat(np.array([number for number, _, _ in parts], np.int32), sizes),
            "customer_key": np.concatenate([keys for _, _, keys in parts]).astype(np.int32),
            "has_entered": np.repeat(np.array([side == 0 for _, side, _ in parts]), sizes),
        }
    )
    pq.write_table(table, file, compression="zstd")


def _write_bitmaps(days: Days, file: Path) -> None:
    words = [after.words.tobytes() for _, after in days.values()]
    table = pa.table({"rule": pa.array(list(days), pa.int32()), "words": pa.array(words, pa.binary())})
    pq.write_table(table, file, compression="zstd", use_dictionary=False, write_statistics=False)


def _anti_joins(world: World, days: Days) -> tuple[tuple[int, int], Cost]:
    """How many entered and left, and what two anti joins over long tables cost; filling these is not counted."""
    with duckdb.connect(config={"threads": 2}) as con:
        for name, side in (("yesterday", 0), ("today", 1)):
            con.execute(f"create table {name} (rule integer, customer_key integer)")
            for number, bitmaps in days.items():
                members = pa.table({"customer_key": bitmaps[side].keys().astype(np.int32)})
                con.register("members", members)
                con.execute(f"insert into {name} select {number}, customer_key from members")
        query = "select count(*), sum(customer_key) from {} anti join {} using (rule, customer_key)"
        pairs = (("today", "yesterday"), ("yesterday", "today"))
        cost, counts = _timed(lambda: [con.execute(query.format(*pair)).fetchall()[0][0] for pair in pairs])
    return (counts[0], counts[1]), cost


def _timed(work: Callable[[], T]) -> tuple[Cost, T]:
    began, processor = time.perf_counter(), time.process_time()
    found = work()
    return Cost(time.perf_counter() - began, time.process_time() - processor), found
