"""Recalculating tags and segments: all of them in one pass of the night, and one of them while somebody waits.

    python -m benchmarks.audiences [--customers 1000000] [--rules 150] [--directory DIR] [--keep]

The night's part is measured on the file that is about to be published: calculating, writing the file of members, the
analysts' tables, and the pointers. On demand is measured from outside, over HTTP: from the request to the moment in
which the API answers that the job has succeeded. B1, one pass `select customer_key, count(*) … group by 1` over the
four largest marts of the same file in the same run, says how fast the machine is.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
from fastapi.testclient import TestClient
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, insert

from api.storage.tables.audiences import audience, audience_definition
from benchmarks.segments_rules import make_rules
from benchmarks.signed_in import WHO, add_administrator, api_client, new_store, published_sample
from pipelines.settings import PipelineSettings
from pipelines.warehouse.audience_inputs import take_audiences
from pipelines.warehouse.audiences import calculate_night, serve_night
from pipelines.warehouse.catalog import catalog_json
from pipelines.warehouse.connection import connect_warehouse
from segment_engine.catalog import read_catalog
from segment_engine.runtime.published import read_pointer

ASKED: Final = 30
"""So many rules are calculated on demand, one after the other."""

FACTS: Final = ("fct_mini_program_event", "fct_bill_item", "fct_appointment", "fct_payment")
out = Console(width=120)


@dataclass(frozen=True, slots=True)
class Cost:
    """On the clock, and of all threads of this process."""

    seconds: float
    processor_seconds: float


def main() -> None:
    """Make or reuse the data, measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--rules", type=int, default=150)
    parser.add_argument("--directory", type=Path, help="where the data goes [default: a temporary folder]")
    parser.add_argument("--keep", action="store_true", help="keep the data; reuse what is already there")
    told = parser.parse_args()
    with published_sample(told.customers, told.directory, keep=told.keep) as settings:
        _forget_calculations(settings)
        rules = make_rules(told.rules, _clinics(settings))
        key = _write_store(settings, rules)
        _show_night(_measure_night(settings), len(rules))
        _show_demand(settings, key, sorted(rules)[:ASKED])


def _forget_calculations(settings: PipelineSettings) -> None:
    with duckdb.connect(str(settings.folders.marts)) as con:
        for name in ("smart_audience_change", "audience_version"):
            con.execute(f"drop table if exists marts.{name} cascade")


def _clinics(settings: PipelineSettings) -> list[str]:
    with duckdb.connect(str(settings.folders.marts), read_only=True) as con:
        return [one for (one,) in con.execute("select clinic_id from marts.dim_clinic order by 1").fetchall()]


def _write_store(settings: PipelineSettings, rules: dict[int, dict[str, Any]]) -> str:
    """A store with an administrator and the rules as published segments; the administrator's key."""
    moment = datetime.now(UTC)

    def work(connection: Connection) -> str:
        stamps = {"created_at": moment, "updated_at": moment, "version": 1, "created_by": WHO, "updated_by": WHO}
        for number, document in rules.items():
            connection.execute(
                insert(audience).values(
                    id=number, kind="segment", is_smart=True, name=f"segment {number}", description="",
                    position=number, is_enabled=True, is_preset=False, definition=1, revision=0, **stamps,
                )
            )  # fmt: skip
            connection.execute(
                insert(audience_definition).values(
                    audience_id=number, number=1, filter=document, note="", created_at=moment, created_by=WHO
                )
            )
        return add_administrator(connection, moment)

    database = new_store(settings)
    key = database.write(work)
    database.close()
    return key


def _measure_night(settings: PipelineSettings) -> dict[str, Cost]:
    """Costs by what was done: a first night, in which everybody enters, and a second one."""
    catalog = read_catalog(json.loads(catalog_json(settings)))
    pointer = read_pointer(settings.folders)
    costs = {"B1": _timed(lambda: _grouped_pass(settings))}
    with connect_warehouse(settings) as con:
        costs["taking definitions over"] = _timed(lambda: take_audiences(con, settings, pointer.as_of))

    def calculate() -> object:
        return calculate_night(settings, catalog, pointer.as_of, fingerprint=pointer.fingerprint, now=datetime.now(UTC))

    for night in ("first night", "second night"):
        costs[f"{night}: calculating, files, tables"] = _timed(calculate)
        costs[f"{night}: pointers"] = _timed(lambda: serve_night(settings, pointer))
    return costs


def _grouped_pass(settings: PipelineSettings) -> None:
    with duckdb.connect(str(settings.folders.marts), read_only=True, config={"threads": settings.threads}) as con:
        for name in FACTS:
            con.execute(f"select customer_key, count(*) from marts.{name} group by 1").fetchnumpy()


def _timed(work: Callable[[], object]) -> Cost:
    began, processor = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - began, time.process_time() - processor)


def _show_night(costs: dict[str, Cost], rules: int) -> None:
    base = costs["B1"].processor_seconds
    table = Table("what", "seconds", "CPU s", "x B1, CPU", title=f"{rules} rules, all at once", title_justify="left")
    for name, cost in costs.items():
        shown = f"{cost.processor_seconds / base:.2f}"
        table.add_row(name, f"{cost.seconds:.2f}", f"{cost.processor_seconds:.2f}", shown)
    out.print(table)


def _show_demand(settings: PipelineSettings, key: str, ids: Sequence[int]) -> None:
    with api_client(settings, key) as client:
        took = [_recalculated(client, [one]) for one in ids]
        together = _recalculated(client, ids)
    ordered = sorted(took)
    table = Table("one rule on demand", "seconds", title="from the request to the served members", title_justify="left")
    table.add_row("the first, on a process that has just started", f"{took[0]:.2f}")
    table.add_row("median of the others", f"{statistics.median(took[1:]):.2f}")
    table.add_row("slowest of the others", f"{max(took[1:]):.2f}")
    table.add_row("slowest of all", f"{ordered[-1]:.2f}")
    table.add_row(f"{len(ids)} rules in one request", f"{together:.2f}")
    out.print(table)


def _recalculated(client: TestClient, ids: Sequence[int]) -> float:
    began = time.perf_counter()
    headers = {"Idempotency-Key": f"bench-{began}"}
    started = client.post("/v1/audiences/recalculation", json={"ids": list(ids)}, headers=headers)
    assert started.status_code == 202, started.text
    place = started.headers["Location"]
    while (job := client.get(place).json())["status"] in ("queued", "running"):
        time.sleep(0.005)
    took = time.perf_counter() - began
    assert job["status"] == "succeeded", job
    assert not job["result"]["refused"], job["result"]
    return took


if __name__ == "__main__":
    main()
