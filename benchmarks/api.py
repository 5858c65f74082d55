"""A realistic write and a read through the API, beside the same transaction on the bare driver, in one run.

    python -m benchmarks.api [--seconds 2] [--rounds 5] [--clients 8] [--engines sqlite postgresql]

The write is what a check-in or a coupon is: the row of the Idempotency-Key, the effect, its audit row and the head of
the chain, in one transaction that is on the disk when it is answered. One API process, clients in another process.
PostgreSQL needs its binaries on this machine; both stores are used as they are in production, nothing is switched off.
"""

import argparse
import json
import secrets
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from api.settings import ApiSettings
from api.storage.database import Database
from api.storage.schema import upgrade
from api.storage.sqlite import PRAGMAS
from tests.api.conftest import make_actor
from tests.postgres import find_binaries, running_server

out = Console(width=130)

CLAIM = (
    "insert into idempotency (caller, operation, key, fingerprint, created_at, expires_at)"
    " values ({0}, {0}, {0}, {0}, {0}, {0}) on conflict (caller, operation, key) do nothing"
)
EFFECTS = "create table benchmark_effect (id text primary key, owner text, amount bigint, at text)"
EFFECT = "insert into benchmark_effect (id, owner, amount, at) values ({0}, {0}, {0}, {0})"
HEAD = "select seq, hash from audit_head where id = 1"
AUDIT = (
    "insert into audit_log (seq, at, actor_kind, actor_id, actor_name, action, target_kind, target_id, before, after,"
    " request_id, address, prev_hash, hash)"
    " values ({0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0})"
)
MOVE = "update audit_head set seq = {0}, hash = {0} where id = 1"
ANSWER = (
    "update idempotency set status = {0}, headers = {0}, body = {0}"
    " where caller = {0} and operation = {0} and key = {0}"
)


@dataclass(frozen=True)
class Measured:
    """Answers per second, and how long they took in milliseconds."""

    rate: float
    p50: float
    p99: float
    worst: float


@dataclass(frozen=True)
class Round:
    """Everything once; by number of clients."""

    bare: dict[int, Measured]
    write: dict[int, Measured]
    read: Measured


def main() -> None:
    """Measure every engine that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=2, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=5, help="in which everything is measured in turn")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--engines", nargs="+", default=["sqlite", "postgresql"], choices=["sqlite", "postgresql"])
    arguments = parser.parse_args()
    for engine in arguments.engines:
        with store(engine) as (data_dir, address):
            clients, seconds = (1, arguments.clients), arguments.seconds
            rounds = measure(engine, data_dir, address, clients=clients, seconds=seconds, rounds=arguments.rounds)
        show(engine, clients, rounds)


def measure(
    engine: str,
    data_dir: Path,
    address: dict[str, str],
    *,
    clients: tuple[int, int],
    seconds: float,
    rounds: int,
) -> list[Round]:
    """One engine: what is compared is measured in turn, since a shared machine is not the same a minute later."""
    database = Database(ApiSettings.model_validate({"data_dir": data_dir, **address}))
    upgrade(database)
    with database.engine.begin() as connection:
        connection.execute(text(EFFECTS))
    key = make_actor(database)
    measured: list[Round] = []
    with api_process(data_dir, address) as port:
        for _ in range(rounds):
            bare = {number: load(bare_writer(engine, data_dir, address), number, seconds) for number in clients}
            write = {number: over_http(port, key, "write", number, seconds) for number in clients}
            measured.append(Round(bare, write, over_http(port, key, "read", clients[-1], seconds)))
    database.close()
    return measured


def show(engine: str, clients: tuple[int, int], rounds: list[Round]) -> None:
    """Medians of the rounds."""
    columns = ("what", "clients", "per second", "p50 ms", "p99 ms", "max ms", "p99/p50")
    table = Table(*columns, "of bare, as many", "of bare at best")
    table.title = f"{engine}: one API process, medians of {len(rounds)} rounds"
    for number in clients:
        add(table, "bare driver", number, [turn.bare[number] for turn in rounds])
    for number in clients:
        shares = (
            statistics.median(turn.write[number].rate / turn.bare[number].rate for turn in rounds),
            statistics.median(turn.write[number].rate / max(one.rate for one in turn.bare.values()) for turn in rounds),
        )
        measured = [turn.write[number] for turn in rounds]
        add(table, "the API", number, measured, *(f"{share:.0%}" for share in shares))
    add(table, "the API, a read", clients[-1], [turn.read for turn in rounds])
    out.print(table)


def add(table: Table, name: str, clients: int, measured: list[Measured], *shares: str) -> None:
    rate, p50, p99, worst = (statistics.median(values) for values in zip(*map(astuple, measured), strict=True))
    times = (f"{value:.1f}" for value in (p50, p99, worst))
    table.add_row(name, str(clients), f"{rate:,.0f}", *times, f"{p99 / p50:.1f}", *shares)


def load(make: Callable[[], Callable[[], None]], clients: int, seconds: float) -> Measured:
    """Let `clients` threads repeat one call for so long."""
    times: list[list[float]] = [[] for _ in range(clients)]
    barrier = threading.Barrier(clients)

    def client(own: list[float]) -> None:
        call = make()
        call()
        barrier.wait()
        ends = time.perf_counter() + seconds
        while (began := time.perf_counter()) < ends:
            call()
            own.append(time.perf_counter() - began)

    threads = [threading.Thread(target=client, args=(own,)) for own in times]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return measured(times, seconds)


def measured(times: list[list[float]], seconds: float) -> Measured:
    """What the seconds of every call of every client come to."""
    flat = sorted(value * 1000 for own in times for value in own)
    return Measured(len(flat) / seconds, statistics.median(flat), flat[int(len(flat) * 0.99)], flat[-1])


def bare_writer(engine: str, data_dir: Path, address: dict[str, str]) -> Callable[[], Callable[[], None]]:
    """Connections of the bare driver, and the transaction on them, with no rule and no check."""
    turn = threading.Lock()  # without it SQLite's busy handler sleeps, which would flatter us

    def make() -> Callable[[], None]:
        connection: Any
        if engine == "sqlite":
            connection = sqlite3.connect(data_dir / "operational.sqlite", isolation_level=None, timeout=30)
            for name, value in PRAGMAS.items():
                connection.execute(f"pragma {name} = {value}")
            mark, begin, head = "?", "begin immediate", HEAD
        else:
            connection = psycopg.connect(address["database_url"].replace("+psycopg", ""), autocommit=True)
            mark, begin, head = "%s", "begin", f"{HEAD} for update"
        statements = [part.format(mark) for part in (CLAIM, EFFECT, AUDIT, MOVE, ANSWER)]

        def write() -> None:
            if engine == "postgresql":
                transaction(connection, begin, head, statements)
                return
            with turn:
                transaction(connection, begin, head, statements)

        return write

    return make


def transaction(connection: Any, begin: str, head: str, statements: list[str]) -> None:
    """What the API's write comes to."""
    claim, effect, audit, move, answer = statements
    key, hashed = secrets.token_hex(12), secrets.token_hex(32)
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    place = ("staff:anna", "benchmark_write", key)
    connection.execute(begin)
    connection.execute(claim, (*place, hashed, at, at))
    connection.execute(effect, (key, "anna", 100, at))
    seq, before = connection.execute(head).fetchone()
    told = ("staff", "anna", "Anna", "benchmark.write", "effect", key, "null", '{"amount":100}', key, "127.0.0.1")
    connection.execute(audit, (seq + 1, at, *told, before, hashed))
    connection.execute(move, (seq + 1, hashed))
    connection.execute(answer, (201, "{}", '{"id":"x","amount":100}', *place))
    connection.execute("commit")


def over_http(port: int, key: str, what: str, clients: int, seconds: float) -> Measured:
    """The load from a process of its own, so that clients do not share the server's interpreter."""
    command = [sys.executable, "-m", "benchmarks.api_client", str(port), key, what, str(clients), str(seconds)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return Measured(**json.loads(answer.stdout))


@contextmanager
def api_process(data_dir: Path, address: dict[str, str]) -> Iterator[int]:
    """One API process; yields its port."""
    command = [sys.executable, "-m", "benchmarks.api_server", str(data_dir), *address.values()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


@contextmanager
def store(engine: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """A data directory, and a PostgreSQL of our own where that is asked for."""
    with ExitStack() as stack:
        data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cdp-benchmark-")))
        if engine == "sqlite":
            yield data_dir, {}
            return
        binaries = find_binaries()
        if binaries is None:
            sys.exit("PostgreSQL's binaries were not found")
        folder = stack.enter_context(running_server(binaries, ("shared_buffers=128MB",)))
        with psycopg.connect(f"host={folder} user=cdp dbname=postgres", autocommit=True) as connection:
            connection.execute("create database benchmark")
        yield data_dir, {"database_url": f"postgresql+psycopg://cdp@/benchmark?host={folder}"}


if __name__ == "__main__":
    main()
