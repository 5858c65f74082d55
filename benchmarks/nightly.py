"""The night from landing to published, beside what DuckDB alone needs to read the same files into tables.

    python -m benchmarks.nightly [--customers 100000 1000000] [--directory DIR] [--keep]

Prints, per size: rows, seconds and rows/s of each step, peak memory, and the ratio to the baseline of the same run.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
from rich.console import Console
from rich.table import Table

from pipelines.sample.generate import write_sample
from segment_engine.runtime.folders import DataFolders

END_ON = date(2026, 11, 20)
READERS = {
    "csv": "read_csv({files}, header = true)",
    "jsonl": "read_json({files}, format = 'newline_delimited')",
    "parquet": "read_parquet({files})",
}
out = Console(width=120)


def main() -> None:
    """Measure every size that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--customers", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument(
        "--directory", type=Path, default=None, help="where the data goes [default: a temporary folder]"
    )
    parser.add_argument("--keep", action="store_true", help="keep the data; reuse sample data that is already there")
    arguments = parser.parse_args()
    base = arguments.directory or Path(tempfile.mkdtemp(prefix="cdp-benchmark-"))
    try:
        for customers in arguments.customers:
            _measure(customers, base / str(customers))
    finally:
        if not arguments.keep:
            shutil.rmtree(base, ignore_errors=True)


def _measure(customers: int, root: Path) -> None:
    folders = DataFolders(root)
    if not folders.landing.exists():
        make_sample(customers, folders)
    for made in (folders.build, folders.published, folders.runs, folders.quarantine):
        shutil.rmtree(made, ignore_errors=True)
    baseline_rows, baseline = _baseline(folders)
    night = run_night(root)
    record = json.loads(max(folders.runs.glob("*.json")).read_text(encoding="utf-8"))
    table = Table("step", "rows", "seconds", "rows/s", "CPU s", title=f"{customers:,} customers", title_justify="left")
    for step in record["steps"]:
        rate = step["rows"] / step["seconds"] if step["seconds"] else 0
        table.add_row(step["name"], f"{step['rows']:,}", f"{step['seconds']:.1f}", f"{rate:,.0f}")
    table.add_section()
    _add_total(table, "whole night (process start to end)", baseline_rows, night)
    _add_total(table, "DuckDB alone: same files into tables", baseline_rows, baseline)
    out.print(table)
    out.print(
        f"ratio night / DuckDB alone: {night.seconds / baseline.seconds:.2f};"
        f" peak memory {record['peak_memory_mib']:,} MiB"
    )
    out.print(f"second night, nothing new: {run_night(root).seconds:.1f} s\n")


def _add_total(table: Table, name: str, rows: int, cost: "Cost") -> None:
    rate = f"{rows / cost.seconds:,.0f}"
    table.add_row(name, f"{rows:,}", f"{cost.seconds:.1f}", rate, f"{cost.processor_seconds:.0f}")


def make_sample(customers: int, folders: DataFolders) -> None:
    """Land sample data, clean and the same every time, and print how much."""
    summary = write_sample(
        folders, customers=customers, days=400, seed=7, end_on=END_ON, dirty=False, zone=ZoneInfo("Asia/Shanghai")
    )
    rows = sum(summary.rows_by_table.values())
    out.print(f"sample data: {rows:,} rows in {summary.seconds:.1f} s, {summary.rows_per_second:,.0f} rows/s")


@dataclass(frozen=True, slots=True)
class Cost:
    """What something took: on the clock, and of all processors together."""

    seconds: float
    processor_seconds: float


@contextmanager
def _measured(who: int) -> Iterator[list[Cost]]:
    """The cost of the block, appended to the list at its end; `who` as for getrusage."""
    costs: list[Cost] = []
    before, began = resource.getrusage(who), time.perf_counter()
    yield costs
    seconds, after = time.perf_counter() - began, resource.getrusage(who)
    costs.append(Cost(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))


def _baseline(folders: DataFolders) -> tuple[int, Cost]:
    """Rows and cost of `create table as` over every landing file that DuckDB reads by itself (XLSX is left out)."""
    target = folders.root / "baseline.duckdb"
    target.unlink(missing_ok=True)
    groups: dict[str, tuple[str, list[str]]] = {}
    for manifest in sorted(folders.landing.glob("*/*/*/_manifest.json")):
        batch = json.loads(manifest.read_text(encoding="utf-8"))
        for file in batch["files"]:
            if file["format"] in READERS:
                name = f"{batch['source']}__{batch['table']}__{file['format']}"
                groups.setdefault(name, (file["format"], []))[1].append(str(manifest.parent / file["name"]))
    rows = 0
    with duckdb.connect(str(target), config={"threads": os.environ.get("CDP_THREADS", "2")}) as con:
        with _measured(resource.RUSAGE_SELF) as costs:
            con.execute("set preserve_insertion_order = false")
            for name, (kind, files) in groups.items():
                con.execute(f'create table "{name}" as from {READERS[kind].format(files=files)}')
            con.execute("checkpoint")
        for name in groups:
            rows += con.execute(f'select count(*) from "{name}"').fetchall()[0][0]
    target.unlink()
    return rows, costs[0]


def run_night(root: Path) -> Cost:
    """Run the pipeline's night on a data directory, in a process of its own."""
    environment = os.environ | {"CDP_DATA_DIR": str(root)}
    command = [sys.executable, "-m", "pipelines.cli", "nightly", "--as-of", END_ON.isoformat()]
    with _measured(resource.RUSAGE_CHILDREN) as costs:
        subprocess.run(command, env=environment, check=True)
    return costs[0]


if __name__ == "__main__":
    main()
