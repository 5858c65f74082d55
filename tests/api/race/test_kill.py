"""kill -9 in the middle of a write: what was answered is there, what was not may be tried again with the same key."""

from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from tests.api.conftest import bearer
from tests.api.race.conftest import Race, api_process


def claim(key: str, moment: str) -> dict[str, Any]:
    """Issuing a coupon in a process that is killed just before or just after the commit."""
    return {
        "url": f"/race/coupons/killed-{moment}",
        "json": {"coupon": moment},
        "headers": {**bearer(key), "Idempotency-Key": f"killed-{moment}"},
    }


def test_killed_writes_happen_once_when_they_are_tried_again(race_store: Race) -> None:
    race = race_store
    moments = ("before", "after")
    for moment in moments:
        with api_process(race.data_dir, race.store) as address, pytest.raises(httpx2.TransportError):
            httpx2.Client(base_url=address, timeout=20).post(**claim(race.key, moment))
    with api_process(race.data_dir, race.store, CDP_TEST_SURVIVES="1") as address:
        client = httpx2.Client(base_url=address, timeout=20)
        answers = {moment: client.post(**claim(race.key, moment)) for moment in moments}

    for moment, answer in answers.items():
        assert (answer.status_code, answer.json()) == (201, {"coupon": moment})
        # Committed before the crash: the stored answer. Not committed: done now.
        assert ("idempotency-replayed" in answer.headers) is (moment == "after")
    with race.database.read() as connection:
        assert sorted(connection.scalars(text("select claim from race_coupon"))) == ["after", "before"]
        assert connection.execute(text("select issued from race_cap")).scalar_one() == 2
