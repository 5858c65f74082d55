"""The many-at-once evaluation of rules on a published version, beside rule-by-rule SQL and ClickHouse on the same rows.

    python -m benchmarks.segments [--customers 1000000] [--rules 10 50 150 500] [--directory DIR] [--keep]

Every strategy runs in a process of its own on two threads, twice, and all must find the same customers. What it takes
is told as multiples of B1, one pass `select customer_key, count(*) … group by 1` over all activity of the same data,
and of B0, one filtered count over it, each in the cheaper of two readings: from the marts, from the engine's tables.
Other programs may share the processors: targets are judged by CPU-seconds, previews, for which somebody waits, by the
clock.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.nightly import make_sample, run_night
from benchmarks.segments_report import Measured, show
from benchmarks.segments_runs import Outcome, run_apart
from benchmarks.segments_world import Built, prepare, quadruple
from segment_engine.runtime.folders import DataFolders
from segment_engine.runtime.published import POINTER_NAME

SIZES: Final = (10, 50, 150, 500)
PASSES: Final = ("B0 marts", "B0 engine", "B1 marts", "B1 engine")
COMPARED: Final = ("plan", "ClickHouse, bitmaps", "ClickHouse, IN", "GROUP BY, engine", "GROUP BY, marts")
SLOW: Final = "EXISTS, marts"
ALONE: Final = "plan, engine's tables alone"
out = Console(width=150)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is measured: sizes in numbers of rules, ascending; limit: seconds that a strategy may take at its next."""

    sizes: Sequence[int]
    limit: float
    memory: str
    with_clickhouse: bool
    with_quadruple: bool


def main() -> None:
    """Make or reuse the data, measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--rules", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--directory", type=Path, help="where the data goes [default: a temporary folder]")
    parser.add_argument("--keep", action="store_true", help="keep the data; reuse what is already there")
    parser.add_argument("--limit", type=float, default=150, help="seconds a strategy may take with more rules")
    parser.add_argument("--memory", default="2GB", help="what DuckDB may hold")
    parser.add_argument("--without", nargs="*", default=[], choices=("clickhouse", "quadruple"))
    told = parser.parse_args()
    base = told.directory or Path(tempfile.mkdtemp(prefix="cdp-benchmark-"))
    asked = Asked(
        sorted(told.rules), told.limit, told.memory, "clickhouse" not in told.without, "quadruple" not in told.without
    )
    try:
        folder = base / str(told.customers) / "segments"
        show(_measure(folder, asked, _built(told.customers, folder, asked.memory)), out)
    finally:
        if not told.keep:
            shutil.rmtree(base, ignore_errors=True)


def _built(customers: int, folder: Path, memory: str) -> Built:
    """The folder with the engine's tables in it, made from sample data and a night where it is not there yet."""
    published = DataFolders(folder.parent)
    if not (published.published / POINTER_NAME).exists():
        if not published.landing.exists():
            make_sample(customers, published)
        run_night(published.root)
    if (folder / "built.json").exists():
        return Built(**json.loads((folder / "built.json").read_text()))
    return prepare(published, folder, memory=memory)


def _measure(folder: Path, asked: Asked, built: Built) -> Measured:
    most = asked.sizes[-1]
    outcomes: dict[tuple[str, int], Outcome] = {}
    for name in PASSES:
        outcomes[name, 0] = _run(name, folder, 0, asked)
    if asked.with_clickhouse:
        outcomes["load ClickHouse", most] = _run("load ClickHouse", folder, most, asked)
    for name in COMPARED:
        if asked.with_clickhouse or not name.startswith("ClickHouse"):
            outcomes |= _as_far_as_it_goes(name, folder, asked)
    outcomes[SLOW, asked.sizes[0]] = _run(SLOW, folder, asked.sizes[0], asked)
    usual = 150 if 150 in asked.sizes else most
    for name in (ALONE, "compile", "night", "preview"):
        outcomes[name, usual] = _run(name, folder, usual, asked)
    fourfold = _quadrupled(folder, asked, usual) if asked.with_quadruple else {}
    return Measured(built, tuple(asked.sizes), usual, outcomes, fourfold)


def _as_far_as_it_goes(name: str, folder: Path, asked: Asked) -> dict[tuple[str, int], Outcome]:
    """The outcomes of a strategy at every size that it reaches in time."""
    found: dict[tuple[str, int], Outcome] = {}
    for place, rules in enumerate(asked.sizes):
        if place:
            before = asked.sizes[place - 1]
            if found[name, before].seconds * rules / before > asked.limit:
                out.print(f"{name} with {rules} rules is left out: it would take more than {asked.limit:.0f} s")
                break
        found[name, rules] = _run(name, folder, rules, asked)
    return found


def _quadrupled(folder: Path, asked: Asked, rules: int) -> dict[str, Outcome]:
    """The engine's tables four times over: the passes over them, and the same rules."""
    target = folder / "quadruple"
    quadruple(folder, target, memory=asked.memory)
    try:
        return {name: _run(name, target, rules, asked) for name in ("B0 engine", "B1 engine", ALONE)}
    finally:
        shutil.rmtree(target)


def _run(name: str, folder: Path, rules: int, asked: Asked) -> Outcome:
    outcome = run_apart(name, folder, rules=rules, memory=asked.memory)
    told = f"{name}, {rules} rules" if rules else name
    out.print(f"{told}: {outcome.seconds:.2f} s, {outcome.processor_seconds:.2f} CPU-s", style="dim")
    return outcome


if __name__ == "__main__":
    main()
