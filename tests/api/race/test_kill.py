"""kill -9 in the middle of a write: what was answered is there, what was not may be tried again with the same key."""

import httpx2
import pytest
from sqlalchemy import text

from tests.api.conftest import bearer
from tests.api.race.conftest import Race, api_process


@pytest.mark.parametrize(("moment", "replayed"), [("before", False), ("after", True)])
def test_a_killed_write_happens_once_when_it_is_tried_again(race: Race, moment: str, replayed: bool) -> None:
    request = {
        "url": f"/race/coupons/killed-{moment}",
        "json": {"coupon": "mine"},
        "headers": {**bearer(race.key), "Idempotency-Key": f"killed-{moment}"},
    }
    with api_process(race.data_dir, race.store) as address, pytest.raises(httpx2.TransportError):
        httpx2.Client(base_url=address).post(**request)
    with api_process(race.data_dir, race.store, CDP_TEST_SURVIVES="1") as address:
        answer = httpx2.Client(base_url=address, timeout=20).post(**request)

    assert (answer.status_code, answer.json()) == (201, {"coupon": "mine"})
    assert ("idempotency-replayed" in answer.headers) is replayed
    with race.database.read() as connection:
        assert connection.execute(text("select count(*) from race_coupon")).scalar_one() == 1
        assert connection.execute(text("select issued from race_cap")).scalar_one() == 1
