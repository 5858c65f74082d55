"""Two API processes on one store, clients let go at one moment: nothing lost, nothing double, nothing locked."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import text

from api.audit.verify import verify
from api.settings import ApiSettings
from api.storage.database import Database
from tests.api.conftest import Stores, bearer, make_actor

CAP, CLIENTS, CLAIMS_EACH = 60, 12, 10


@dataclass(frozen=True)
class Attempt:
    claim: str
    status: int
    replayed: bool


@dataclass(frozen=True)
class Race:
    """Two processes, the store they share, and a key."""

    addresses: list[str]
    database: Database
    key: str


@contextmanager
def api_process(data_dir: Path, address: dict[str, str]) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.api.race.server", str(data_dir), *address.values()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


@pytest.fixture(scope="module", params=("sqlite", "postgresql"))
def race(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Race]:
    data_dir = tmp_path_factory.mktemp("race")
    name = "sqlite_stores" if request.param == "sqlite" else "postgres_stores"
    stores: Stores = request.getfixturevalue(name)
    with stores.new(data_dir) as address:
        database = Database(ApiSettings(data_dir=data_dir, **address))
        with database.engine.begin() as connection:
            connection.execute(text("create table race_cap (cap integer, issued integer)"))
            connection.execute(text("create table race_coupon (claim text)"))
        with api_process(data_dir, address) as first, api_process(data_dir, address) as second:
            yield Race([first, second], database, make_actor(database))
        database.close()


@pytest.fixture(autouse=True)
def fresh(race: Race) -> None:
    with race.database.engine.begin() as connection:
        connection.execute(text("delete from race_cap"))
        connection.execute(text("delete from race_coupon"))
        connection.execute(text("insert into race_cap values (:cap, 0)"), {"cap": CAP})


def run(race: Race, path: str, *, round_name: str = "first") -> list[Attempt]:
    """Each client sends its claims twice over, once to either process, all clients let go at one moment."""
    barrier = threading.Barrier(CLIENTS)

    def client(number: int) -> list[Attempt]:
        attempts = []
        with httpx2.Client(headers=bearer(race.key), timeout=30) as http:
            barrier.wait()
            for turn in range(CLAIMS_EACH):
                # Clients 2k and 2k+1 are the two phones of one person: same claim, same key, the other process.
                claim = f"{round_name}-{number // 2}-{turn}"
                answer = http.post(
                    f"{race.addresses[number % 2]}{path}", json={"coupon": claim}, headers={"Idempotency-Key": claim}
                )
                attempts.append(Attempt(claim, answer.status_code, "idempotency-replayed" in answer.headers))
        return attempts

    with ThreadPoolExecutor(CLIENTS) as pool:
        return [attempt for attempts in pool.map(client, range(CLIENTS)) for attempt in attempts]


def wrongs(race: Race, attempts: list[Attempt]) -> list[str]:
    """What a customer would complain of, by looking at the answers and at the store alone."""
    with race.database.read() as connection:
        issued = connection.execute(text("select issued from race_cap")).scalar_one()
        claims = [claim for (claim,) in connection.execute(text("select claim from race_coupon"))]
    acknowledged = {attempt.claim for attempt in attempts if attempt.status == 201}
    found = {
        "an answer is an error of ours": any(attempt.status >= 500 for attempt in attempts),
        "more were issued than there are": len(claims) > CAP,
        "the counter is not what was issued": issued != len(claims),
        "one claim had two effects": len(set(claims)) != len(claims),
        "what was acknowledged is not there": bool(acknowledged - set(claims)),
        "what is there was never acknowledged": bool(set(claims) - acknowledged),
    }
    return [wrong for wrong, is_so in found.items() if is_so]


def test_nothing_is_lost_and_nothing_happens_twice(race: Race) -> None:
    attempts = run(race, "/race/coupons")

    assert wrongs(race, attempts) == []
    assert {attempt.status for attempt in attempts} <= {201, 409}
    winners = [attempt for attempt in attempts if attempt.status == 201]
    assert len({attempt.claim for attempt in winners}) == min(CAP, CLIENTS // 2 * CLAIMS_EACH)
    # Both phones of a person were told the same; one of them did it.
    assert sum(not attempt.replayed for attempt in winners) == len({attempt.claim for attempt in winners})


def test_every_effect_has_its_audit_row_in_an_unbroken_chain(race: Race) -> None:
    with race.database.read() as connection:
        before = verify(connection)

    run(race, "/race/coupons", round_name="audited")

    with race.database.read() as connection:
        after = verify(connection)
        issued = connection.execute(text("select count(*) from race_coupon")).scalar_one()
    assert before.ok
    assert after.ok
    assert after.good_rows - before.good_rows == issued > 0


def test_the_naive_way_would_be_caught(race: Race) -> None:
    found: set[str] = set()
    for _ in range(3):  # a race need not happen every time; three times in a row it does
        found |= set(wrongs(race, run(race, "/race/naive-coupons")))
        if found:
            break

    assert found
