"""Two API processes on one store, clients let go at one moment: nothing lost, nothing double, nothing locked."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx2
from sqlalchemy import text

from api.audit.verify import verify
from tests.api.conftest import bearer
from tests.api.race.conftest import CAP, Race

CLIENTS, CLAIMS_EACH = 12, 10


@dataclass(frozen=True)
class Attempt:
    claim: str
    status: int
    replayed: bool


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
