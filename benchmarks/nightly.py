"""The night from landing to published, beside what DuckDB alone needs to read the same files into tables.

    python -m benchmarks.nightly [--customers 100000 1000000] [--directory DIR] [--keep]

Prints, per size: rows, seconds and rows/s of each step, peak memory, and the ratio to the baseline of the same run.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
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
        _sample(customers, folders)
    for made in (folders.build, folders.published, folders.runs, folders.quarantine):
        shutil.rmtree(made, ignore_errors=True)
    baseline_rows, baseline_seconds = _baseline(folders)
    seconds = _night(root)
    record = json.loads(max(folders.runs.glob("*.json")).read_text(encoding="utf-8"))
    table = Table("step", "rows", "seconds", "rows/s", title=f"{customers:,} customers", title_justify="left")
    for step in record["steps"]:
        rate = step["rows"] / step["seconds"] if step["seconds"] else 0
        table.add_row(step["name"], f"{step['rows']:,}", f"{step['seconds']:.1f}", f"{rate:,.0f}")
    table.add_section()
    table.add_row(
        "whole night (process start to end)", f"{baseline_rows:,}", f"{seconds:.1f}", f"{baseline_rows / seconds:,.0f}"
    )
    table.add_row(
        "DuckDB alone: same files into tables",
        f"{baseline_rows:,}",
        f"{baseline_seconds:.1f}",
        f"{baseline_rows / baseline_seconds:,.0f}",
    )
    out.print(table)
    out.print(
        f"ratio night / DuckDB alone: {seconds / baseline_seconds:.2f}; peak memory {record['peak_memory_mib']:,} MiB"
    )
    again = _night(root)
    out.print(f"second night, nothing new: {again:.1f} s\n")


def _sample(customers: int, folders: DataFolders) -> None:
    summary = write_sample(
        folders, customers=customers, days=400, seed=7, end_on=END_ON, dirty=False, zone=ZoneInfo("Asia/Shanghai")
    )
    rows = sum(summary.rows_by_table.values())
    out.print(f"sample data: {rows:,} rows in {summary.seconds:.1f} s, {summary.rows_per_second:,.0f} rows/s")


def _baseline(folders: DataFolders) -> tuple[int, float]:
    """Rows and seconds of `create table as` over every landing file that DuckDB reads by itself (XLSX is left out)."""
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
    began = time.perf_counter()
    with duckdb.connect(str(target), config={"threads": os.environ.get("CDP_THREADS", "2")}) as con:
        con.execute("set preserve_insertion_order = false")
        for name, (kind, files) in groups.items():
            con.execute(f'create table "{name}" as from {READERS[kind].format(files=files)}')
        con.execute("checkpoint")
        seconds = time.perf_counter() - began
        for name in groups:
            rows += con.execute(f'select count(*) from "{name}"').fetchall()[0][0]
    target.unlink()
    return rows, seconds


def _night(root: Path) -> float:
    environment = os.environ | {"CDP_DATA_DIR": str(root)}
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "nightly", "--as-of", END_ON.isoformat()], env=environment, check=True
    )
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
