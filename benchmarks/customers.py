"""The customer list and Customer 360 as staff wait for them: HTTP requests over a million customers.

    python -m benchmarks.customers [--customers 1000000] [--directory DIR] [--keep]

Every answer is asked for different customers, names and pages, one request after the other, and once before to open
what stays open. Milliseconds that passed and of processor time, at the median and the slowest twentieth; and the
median in multiples of B, what DuckDB alone takes for `select * from dim_customer where one_id = …` in the same run.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
from fastapi.testclient import TestClient
from rich.console import Console
from rich.table import Table

from benchmarks.signed_in import add_administrator, api_client, new_store, published_sample
from pipelines.settings import PipelineSettings
from segment_engine.runtime.published import read_pointer

ASKED: Final = 30
TARGET_MS: Final = 300
out = Console(width=120)

Ask = Callable[[TestClient, int], Any]


@dataclass(frozen=True, slots=True)
class People:
    """Whom to ask for: customers with more than three visits who use the mini program, and clinics."""

    one_ids: Sequence[str]
    names: Sequence[str]
    phones: Sequence[str]
    clinics: Sequence[str]


@dataclass(frozen=True, slots=True)
class Times:
    """Sorted milliseconds of one answer's requests: on the clock, and of all threads of this process."""

    passed: Sequence[float]
    processor: Sequence[float]


def main() -> None:
    """Make or reuse the data, measure, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--directory", type=Path, help="where the data goes [default: a temporary folder]")
    parser.add_argument("--keep", action="store_true", help="keep the data; reuse what is already there")
    told = parser.parse_args()
    with published_sample(told.customers, told.directory, keep=told.keep) as settings:
        _measure(settings)


def _measure(settings: PipelineSettings) -> None:
    people, base = _look(settings)
    database = new_store(settings)
    key = database.write(lambda connection: add_administrator(connection, datetime.now(UTC)))
    database.close()
    with api_client(settings, key) as client:
        segment = _segment(client)
        _show("The customer list", base, ((name, _times(client, ask)) for name, ask in _searches(people, segment)))
        _show("Customer 360", base, ((name, _times(client, ask)) for name, ask in _customer_360(people)))


def _look(settings: PipelineSettings) -> tuple[People, float]:
    """Whom to ask for, and B in milliseconds."""
    file = settings.folders.published / read_pointer(settings.folders).file
    with duckdb.connect(str(file), read_only=True, config={"threads": settings.threads}) as con:
        found = con.execute(
            """
            select one_id, name, phone
            from marts.dim_customer
            where visit_count > 3 and phone is not null and name is not null
                and customer_key in (from marts.fct_mini_program_event select customer_key)
            order by hash(one_id)
            limit $asked
            """,
            {"asked": ASKED},
        ).fetchall()
        clinics = con.execute("select clinic_id from marts.dim_clinic order by 1").fetchall()
        one_ids, names, phones = zip(*found, strict=True)
        took = []
        for one_id in one_ids:
            began = time.perf_counter()
            con.execute("select * from marts.dim_customer where one_id = $one_id", {"one_id": one_id}).fetchall()
            took.append(1_000 * (time.perf_counter() - began))
    return People(one_ids, names, phones, [clinic for (clinic,) in clinics]), statistics.median(took)


def _segment(client: TestClient) -> int:
    """A smart segment of whoever came within a year, calculated."""
    rule = {"kind": "attribute", "field": "last_visit_at", "operator": "within_past", "value": {"n": 1, "unit": "year"}}
    body = {"is_smart": True, "name": "benchmark", "filter": {"combinator": "and", "rules": [rule]}}
    made = client.post("/v1/segments", json=body, headers={"Idempotency-Key": "segment"})
    assert made.status_code == 201, made.text
    job = f"/v1/jobs/{made.json()['calculation']}"
    while (status := client.get(job).json()["status"]) in ("queued", "running"):
        time.sleep(0.05)
    assert status == "succeeded"
    return int(made.json()["id"])


def _searches(people: People, segment: int) -> Iterator[tuple[str, Ask]]:
    def search(client: TestClient, **body: Any) -> Any:
        return _ok(client.post("/v1/customers/search", json=body))

    cursors: dict[tuple[str, int], str] = {}

    def pages(client: TestClient, turn: int, **body: Any) -> None:
        """The page after that of the turn before."""
        cursor = cursors.get((body["sort"], turn - 1))
        page = search(client, **body, **({} if cursor is None else {"cursor": cursor}))
        cursors[body["sort"], turn] = page["next_cursor"]

    women = {"kind": "attribute", "field": "gender", "operator": "eq", "value": "女"}

    def women_who_came(days: int) -> dict[str, Any]:
        arrived = {"field": "arrived_at", "operator": "within_past", "value": {"n": days, "unit": "day"}}
        came = {
            "kind": "activity", "source": "appointment", "occurrence": "did",
            "where": {"combinator": "and", "rules": [arrived]},
        }  # fmt: skip
        return {"combinator": "and", "rules": [women, came]}

    yield "page after page, newest first", lambda client, turn: pages(client, turn, sort="created_at")
    yield "page after page, by last visit", lambda client, turn: pages(client, turn, sort="last_visit_at")
    yield "page after page, by name", lambda client, turn: pages(client, turn, sort="name", direction="asc")
    yield (
        "a clinic",
        lambda client, turn: search(client, filter={"clinic_id": people.clinics[turn % len(people.clinics)]}),
    )
    yield "a phone", lambda client, turn: search(client, filter={"phone": people.phones[turn]})
    yield "a name", lambda client, turn: search(client, filter={"name": people.names[turn]})
    yield "women who came within so many days", lambda client, turn: search(client, advanced=women_who_came(30 + turn))
    yield (
        "members of a segment",
        lambda client, turn: search(
            client, segment_ids=[segment], sort=("created_at", "last_visit_at", "name")[turn % 3]
        ),
    )
    yield (
        "the same by its rule, now",
        lambda client, turn: search(
            client, segment_ids=[segment], by_rule=True, sort=("created_at", "last_visit_at", "name")[turn % 3]
        ),
    )


def _customer_360(people: People) -> Iterator[tuple[str, Ask]]:
    for name, path in (
        ("customer", ""), ("summary", "/summary"), ("trend, 90 days", "/trend?days=90"), ("assets", "/assets"),
        ("recent", "/recent"), ("appointments", "/appointments"), ("bills", "/bills"), ("lead", "/lead"),
        ("timeline, a page of 50", "/timeline?limit=50"), ("tags and segments", "/audiences"),
        ("identities", "/identities"), ("identity events", "/identity-events"),
    ):  # fmt: skip
        yield name, _read(people, path)


def _read(people: People, path: str) -> Ask:
    return lambda client, turn: _ok(client.get(f"/v1/customers/{people.one_ids[turn]}{path}"))


def _ok(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def _times(client: TestClient, ask: Ask) -> Times:
    ask(client, 0)
    passed, processor = [], []
    for turn in range(ASKED):
        began, processor_began = time.perf_counter(), time.process_time()
        ask(client, turn)
        passed.append(1_000 * (time.perf_counter() - began))
        processor.append(1_000 * (time.process_time() - processor_began))
    return Times(sorted(passed), sorted(processor))


def _show(title: str, base: float, rows: Iterator[tuple[str, Times]]) -> None:
    table = Table(
        "answer", "median ms", "p95 ms", "x B", "median CPU ms", "p95 CPU ms",
        title=f"{title}; B is {base:.1f} ms, the target {TARGET_MS} ms at p95", title_justify="left",
    )  # fmt: skip
    for name, times in rows:
        middle, late = statistics.median(times.passed), _late(times.passed)
        table.add_row(
            name, f"{middle:.0f}", f"{late:.0f}{'' if late <= TARGET_MS else ' (missed)'}", f"{middle / base:.1f}",
            f"{statistics.median(times.processor):.0f}", f"{_late(times.processor):.0f}",
        )  # fmt: skip
    out.print(table)


def _late(ordered: Sequence[float]) -> float:
    """The value that nineteen of twenty do not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]


if __name__ == "__main__":
    main()
