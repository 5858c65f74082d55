"""Readers never meet half a membership, whatever happens at once: nights, calculations on demand, edits, kill -9."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.settings import ApiSettings
from api.storage.audience_snapshot import read_versions
from api.storage.database import Database
from pipelines.settings import PipelineSettings
from pipelines.warehouse.audience_inputs import take_audiences
from pipelines.warehouse.audiences import calculate_night, serve_night
from pipelines.warehouse.catalog import catalog_json
from pipelines.warehouse.connection import connect_warehouse
from pipelines.warehouse.publish import publish_marts
from segment_engine.catalog import read_catalog
from segment_engine.runtime.memberships import read_memberships
from segment_engine.runtime.published import read_pointer
from tests.api.audiences.asking import arrived_for_a_first_visit
from tests.api.conftest import Stores, bearer, make_actor
from tests.stores import StoreSettings

SECONDS = 6.0
LONG, SHORT = 14, 7
_keys = itertools.count()


@dataclass
class Process:
    """An API process that may be killed and started again; its address changes with each start."""

    data_dir: Path
    store: StoreSettings
    process: subprocess.Popen[str] | None = None
    address: str = ""

    def start(self) -> None:
        environment = {**os.environ, "CDP_JOB_LEASE_SECONDS": "1"}
        command = [sys.executable, "-m", "tests.api.race.server", str(self.data_dir), *self.store.values()]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        assert self.process.stdout is not None
        self.address = f"http://127.0.0.1:{self.process.stdout.readline().strip()}"

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass
class World:
    """Two processes on one data directory, whoever asks, and what was seen."""

    settings: PipelineSettings
    database: Database
    key: str
    steady: Process
    killed: Process
    ends_at: float = 0.0
    seen: list[frozenset[str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)

    @property
    def goes_on(self) -> bool:
        return time.monotonic() < self.ends_at

    def count(self, what: str) -> None:
        self.done[what] = self.done.get(what, 0) + 1

    def ask(self, process: Process, method: str, place: str, body: Any = None, **headers: str) -> Any:
        """The answer; raises httpx2.TransportError where the process is killed meanwhile."""
        told = {**bearer(self.key), "Idempotency-Key": f"hammer-{next(_keys)}", **headers}
        with httpx2.Client(base_url=process.address, timeout=30) as client:
            return client.request(method, place, json=body, headers=told)

    def finished(self, process: Process, job_id: str) -> None:
        while self.ask(process, "GET", f"/v1/jobs/{job_id}").json()["status"] in ("queued", "running"):
            time.sleep(0.02)


@pytest.fixture
def world(own_copy: PipelineSettings, stores: Stores) -> Iterator[World]:
    with stores.new(own_copy.data_dir) as store:
        database = Database(ApiSettings(data_dir=own_copy.data_dir, **store))
        settings = PipelineSettings(data_dir=own_copy.data_dir, **store)
        steady, killed = (Process(own_copy.data_dir, store) for _ in range(2))
        steady.start()
        killed.start()
        yield World(settings, database, make_actor(database), steady, killed)
        steady.kill()
        killed.kill()
        database.close()


def test_members_are_those_of_one_calculation_at_every_moment(world: World) -> None:
    segment = made(world)
    allowed = {read_members(world, world.steady, segment)[0]}
    publish(world, segment, SHORT)
    allowed.add(read_members(world, world.steady, segment)[0])
    assert len(allowed) == 2

    world.ends_at = time.monotonic() + SECONDS
    with at_work(
        lambda: keep_reading(world, world.steady, segment, allowed),
        lambda: keep_reading(world, world.killed, segment, allowed),
        lambda: keep_calculating(world, world.steady, segment),
        lambda: keep_calculating(world, world.killed, segment),
        lambda: keep_editing(world, segment),
        lambda: keep_running_nights(world),
        lambda: keep_killing(world),
    ):
        pass

    assert world.wrong == []
    assert set(world.seen) == allowed
    assert world.done.keys() >= {"calculations", "edits", "nights", "kills"}, world.done
    publish(world, segment, LONG)
    final = read_members(world, world.steady, segment)[0]
    assert final in allowed and len(final) == max(map(len, allowed))
    require_unbroken_history(world, segment)


def made(world: World) -> int:
    body = {"is_smart": True, "name": "初诊到店", "filter": arrived_for_a_first_visit(LONG)}
    answer = world.ask(world.steady, "POST", "/v1/segments", body).json()
    world.finished(world.steady, answer["calculation"])
    return int(answer["id"])


def publish(world: World, segment: int, days: int) -> None:
    place = f"/v1/segments/{segment}"
    tag = world.ask(world.steady, "GET", place).headers["ETag"]
    body = {"filter": arrived_for_a_first_visit(days)}
    answer = world.ask(world.steady, "POST", f"{place}/publish", body, **{"If-Match": tag})
    assert answer.status_code in (200, 201), answer.text
    world.finished(world.steady, answer.json()["calculation"])


def read_members(world: World, process: Process, segment: int) -> tuple[frozenset[str], int]:
    """The members and how many they are said to be."""
    answer = world.ask(process, "GET", f"/v1/audiences/{segment}/members?limit=200")
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert page["next_cursor"] is None, "all of them are on one page"
    return frozenset(one["one_id"] for one in page["customers"]), page["count"]


def keep_reading(world: World, process: Process, segment: int, allowed: set[frozenset[str]]) -> None:
    while world.goes_on:
        try:
            found, count = read_members(world, process, segment)
            search = world.ask(process, "POST", "/v1/customers/search", {"segment_ids": [segment], "limit": 200})
        except httpx2.TransportError:
            continue
        listed = search.json()
        world.seen.append(found)
        if found not in allowed or len(found) != count:
            world.wrong.append(f"{len(found)} members, {count} counted")
        if listed["total"] != len(listed["customers"]) or search.status_code != 200:
            world.wrong.append(f"{listed} in the list")


def keep_calculating(world: World, process: Process, segment: int) -> None:
    while world.goes_on:
        try:
            answer = world.ask(process, "POST", "/v1/audiences/recalculation", {"ids": [segment]})
            if answer.status_code != 202:
                world.wrong.append(answer.text)
                return
            world.finished(process, answer.json()["id"])
            world.count("calculations")
        except (httpx2.TransportError, KeyError):
            continue


def keep_editing(world: World, segment: int) -> None:
    for days in itertools.cycle((LONG, SHORT)):
        if not world.goes_on:
            return
        publish(world, segment, days)
        world.count("edits")


def keep_running_nights(world: World) -> None:
    """All of a night that concerns audiences; what it is built from stays the same."""
    settings = world.settings
    catalog_text = catalog_json(settings)
    catalog = read_catalog(json.loads(catalog_text))
    as_of = read_pointer(settings.folders).as_of
    while world.goes_on:
        run = f"night-{world.done.get('nights', 0)}"
        with connect_warehouse(settings) as con:
            take_audiences(con, settings, as_of)
        calculate_night(settings, catalog, as_of, fingerprint=run, now=datetime.now(UTC))
        published = publish_marts(
            settings, run_id=run, as_of=as_of, now=datetime.now(UTC), fingerprint=run, catalog_json=catalog_text,
            anew=True,
        )  # fmt: skip
        serve_night(settings, published.pointer)
        world.count("nights")


def keep_killing(world: World) -> None:
    while world.goes_on:
        time.sleep(1.2)
        world.killed.kill()
        world.killed.start()
        world.count("kills")


def require_unbroken_history(world: World, segment: int) -> None:
    """Versions count without gaps, and each is the one before with what it says entered and left."""
    with world.database.read() as connection:
        versions = [one for one in read_versions(connection) if one.audience_id == segment]
    assert [one.number for one in versions] == list(range(1, len(versions) + 1))
    inside: set[int] = set()
    for one in versions:
        found = read_memberships(world.settings.folders.audiences, one.file, [segment])[segment]
        entered, left = set(found.difference.entered.tolist()), set(found.difference.left.tolist())
        assert entered.isdisjoint(inside) and left <= inside
        inside = (inside - left) | entered
        assert inside == set(found.members.keys().tolist())
        assert (one.member_count, one.entered_count, one.left_count) == (len(inside), len(entered), len(left))


@contextmanager
def at_work(*works: Callable[[], None]) -> Iterator[None]:
    """All at once; raises what one of them raised."""
    errors: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
