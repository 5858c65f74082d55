"""One strategy in a process of its own, so that its memory and processor time are its own: `run_apart` starts it.

    python -m benchmarks.segments_runs STRATEGY FOLDER RULES MEMORY

Each prepares itself (statements are written, connections opened), then does its work twice; the better run counts. What
a strategy is stands in `STRATEGIES`; what the numbers mean is told by `segments.py`.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks import segments_clickhouse, segments_sql
from benchmarks.segments_nights import measure_night
from benchmarks.segments_preview import measure_compile, measure_preview
from benchmarks.segments_rules import make_rules
from benchmarks.segments_sql import Members
from benchmarks.segments_world import Formulas, World, formulas_of, kept_by_engine, open_world, tables_of
from segment_engine.plan import plan
from segment_engine.predicates import InAudience
from segment_engine.runtime.audiences import Answer, AudienceReader

_RUNS: Final = 2
_RECENT: Final = "date '{}' - 29"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The better run: seconds, CPU-seconds of all threads, the process's peak memory, and what was found.

    members: by rule, the number of customers and the sum of their keys
    """

    seconds: float
    processor_seconds: float
    peak_mib: float
    members: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Work:
    """What a strategy does: the part that is measured, and what of its result is told."""

    run: Callable[[], Any]
    members: Callable[[Any], Members] = lambda _: {}
    told: Callable[[Any], Mapping[str, Any]] = lambda _: {}


Strategy = Callable[[World, Formulas, Path], AbstractContextManager[Work]]


def run_apart(strategy: str, folder: Path, *, rules: int, memory: str) -> Outcome:
    """The outcome of a strategy that had a process of its own; raises CalledProcessError where it failed."""
    command = [sys.executable, "-m", "benchmarks.segments_runs", strategy, str(folder), str(rules), memory]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Outcome(**json.loads(printed.splitlines()[-1]))


def main() -> None:
    """Run one strategy and print its outcome."""
    name, folder, rules, memory = sys.argv[1:]
    strategy, threads = STRATEGIES[name]
    world = open_world(Path(folder), threads=threads, memory=memory)
    formulas = formulas_of(world, make_rules(int(rules), world.clinics))
    with strategy(world, formulas, Path(folder)) as work:
        outcome = min((_measured(work) for _ in range(_RUNS)), key=lambda one: one.seconds)
    print(json.dumps(asdict(outcome)))


def _measured(work: Work) -> Outcome:
    began, processor = time.perf_counter(), time.process_time()
    found = work.run()
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    peak = _peak_mib()
    members = {str(number): totals for number, totals in work.members(found).items()}
    return Outcome(seconds, processor, peak, members, work.told(found))


def _peak_mib() -> float:
    """Of this process alone: getrusage would tell that of the one which started it; Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def _grouped(schema: str) -> Strategy:
    def strategy(world: World, _: Formulas, __: Path) -> AbstractContextManager[Work]:
        query = "select count(*), sum(rows) from (select customer_key, count(*) as rows from {} group by 1)"
        return nullcontext(Work(lambda: _each(world, [query.format(table) for table, _ in tables_of(world, schema)])))

    return strategy


def _filtered(schema: str) -> Strategy:
    def strategy(world: World, _: Formulas, __: Path) -> AbstractContextManager[Work]:
        since = _RECENT.format(world.as_of.date())
        queries = [f"select count(*) from {table} where {day} >= {since}" for table, day in tables_of(world, schema)]
        return nullcontext(Work(lambda: _each(world, queries)))

    return strategy


def _each(world: World, queries: list[str]) -> None:
    for query in queries:
        world.connection.execute(query).fetchall()


def _planned(*, only_engine: bool) -> Strategy:
    def strategy(world: World, formulas: Formulas, _: Path) -> AbstractContextManager[Work]:
        kept = kept_by_engine(world, formulas) if only_engine else formulas
        version = world.version()

        def run() -> Answer:
            return AudienceReader(world.connection, version, _no_audience).read(plan(kept))  # type: ignore[arg-type]

        return nullcontext(Work(run, _totals, lambda answer: _told(answer, kept)))

    return strategy


def _told(answer: Answer, formulas: Formulas) -> Mapping[str, Any]:
    whole = plan(formulas)  # type: ignore[arg-type]
    return {
        "rules": len(formulas),
        "leaves": whole.leaves,
        "uses": whole.uses,
        "statements": len(answer.readings),
        "rows": sum(reading.rows for reading in answer.readings),
        "slowest": [
            [round(reading.seconds * 1000), reading.rows, reading.text[:160]]
            for reading in sorted(answer.readings, key=lambda one: -one.seconds)[:5]
        ],
    }


def _no_audience(one: InAudience) -> Any:
    raise AssertionError(f"{one} is no rule of the plan")


def _totals(answer: Answer) -> Members:
    found: Members = {}
    for key, bitmap in answer.members.items():
        assert isinstance(key, InAudience)
        found[key.id] = (len(bitmap), int(bitmap.keys().sum()))
    return found


def _rule_by_rule(write: Callable[[World, Formulas], segments_sql.Compiled]) -> Strategy:
    def strategy(world: World, formulas: Formulas, _: Path) -> AbstractContextManager[Work]:
        compiled = write(world, formulas)
        return nullcontext(Work(lambda: segments_sql.run(world, compiled, formulas), lambda found: found))

    return strategy


def _clickhouse(*, bitmaps: bool) -> Strategy:
    def strategy(world: World, formulas: Formulas, folder: Path) -> AbstractContextManager[Work]:
        return segments_clickhouse.opened(world, formulas, folder, Work, bitmaps=bitmaps)

    return strategy


def _load_clickhouse(world: World, formulas: Formulas, folder: Path) -> AbstractContextManager[Work]:
    return nullcontext(Work(lambda: segments_clickhouse.load(world, formulas, folder), told=lambda told: told))


def _telling(measure: Callable[[World, Formulas], Mapping[str, Any]]) -> Strategy:
    def strategy(world: World, formulas: Formulas, _: Path) -> AbstractContextManager[Work]:
        return nullcontext(Work(lambda: measure(world, formulas), told=lambda told: told))

    return strategy


STRATEGIES: Final[Mapping[str, tuple[Strategy, int]]] = {
    "B0 marts": (_filtered("marts"), 2),
    "B0 engine": (_filtered("engine"), 2),
    "B1 marts": (_grouped("marts"), 2),
    "B1 engine": (_grouped("engine"), 2),
    "plan": (_planned(only_engine=False), 1),
    "plan, engine's tables alone": (_planned(only_engine=True), 1),
    "GROUP BY, marts": (_rule_by_rule(segments_sql.on_marts), 2),
    "GROUP BY, engine": (_rule_by_rule(segments_sql.on_engine), 2),
    "EXISTS, marts": (_rule_by_rule(segments_sql.as_exists), 2),
    "load ClickHouse": (_load_clickhouse, 2),
    "ClickHouse, IN": (_clickhouse(bitmaps=False), 2),
    "ClickHouse, bitmaps": (_clickhouse(bitmaps=True), 2),
    "compile": (_telling(measure_compile), 1),
    "night": (_telling(measure_night), 2),
    "preview": (_telling(measure_preview), 1),
}
"""By name, with the threads of its connection: a plan reads with two cursors of one thread each."""


if __name__ == "__main__":
    main()
