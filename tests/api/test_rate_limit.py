"""Token buckets: exact at the limit, fair after waiting, bounded in memory."""

import threading
from pathlib import Path

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from api.access.guard import public
from api.edge.rate_limit import Bucket, RateLimitMiddleware, RateLimits, client_address, limit, take
from api.main import create_app
from api.settings import ApiSettings
from tests.api.probe import found, probe_app


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(st.integers(1, 50), st.floats(0.01, 1000))
def test_a_full_bucket_gives_its_burst_and_not_one_more(burst: int, rate: float) -> None:
    bucket: Bucket | None = None
    waits = []

    for _ in range(burst + 1):
        bucket, wait = take(bucket, 5.0, rate, burst)
        waits.append(wait)

    assert waits[:-1] == [0.0] * burst
    assert waits[-1] == pytest.approx(1 / rate)


@given(st.floats(0.01, 1000), st.integers(1, 20), st.lists(st.floats(0, 5), max_size=60), st.floats(0, 1e6))
def test_who_waits_as_long_as_told_is_served(rate: float, burst: int, gaps: list[float], now: float) -> None:
    bucket: Bucket | None = None

    for gap in gaps:
        now += gap
        bucket, wait = take(bucket, now, rate, burst)
        if wait:
            now += wait * (1 + 1e-6) + 1e-6
            bucket, again = take(bucket, now, rate, burst)
            assert again == 0.0


@given(st.floats(0.1, 100), st.integers(1, 20), st.lists(st.floats(0, 2), min_size=1, max_size=200))
def test_no_more_is_given_than_burst_and_rate_allow(rate: float, burst: int, gaps: list[float]) -> None:
    now, given_out, bucket = 0.0, 0, None

    for gap in gaps:
        now += gap
        bucket, wait = take(bucket, now, rate, burst)
        given_out += wait == 0.0

    assert given_out <= burst + now * rate + 1e-3


def test_a_clock_that_stands_or_steps_back_gives_nothing() -> None:
    empty, _ = take(None, 10.0, 1.0, 1)

    assert take(empty, 10.0, 1.0, 1)[1] == 1.0
    assert take(empty, 3.0, 1.0, 1)[1] == 1.0


def test_a_rate_of_zero_limits_and_remembers_nothing() -> None:
    limits = RateLimits(Clock())

    assert [limits.wait_seconds(("a",), 0, 1) for _ in range(100)] == [0.0] * 100
    assert len(limits) == 0


def test_keys_are_counted_apart_and_only_the_last_are_remembered() -> None:
    limits = RateLimits(Clock(), max_buckets=2)

    first = [limits.wait_seconds((name,), 1, 1) for name in ("a", "b", "a")]
    limits.wait_seconds(("c",), 1, 1)

    assert first == [0.0, 0.0, 1.0]
    assert len(limits) == 2
    assert limits.wait_seconds(("a",), 1, 1) == 1.0
    assert limits.wait_seconds(("b",), 1, 1) == 0.0


def test_threads_together_get_the_burst() -> None:
    limits = RateLimits(Clock())
    waits: list[float] = []
    threads = [
        threading.Thread(target=lambda: waits.extend(limits.wait_seconds(("a",), 1, 500) for _ in range(200)))
        for _ in range(8)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert waits.count(0.0) == 500


@pytest.mark.parametrize(
    ("host", "counted_as"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_an_address_is_who_one_subscriber_is(host: str, counted_as: str) -> None:
    assert client_address({"client": (host, 1)}) == counted_as
    assert client_address({"client": None}) == "unknown"


def limited(tmp_path: Path, clock: Clock, rate: float, burst: float) -> FastAPI:
    """The application with a limit per address that follows the test's clock."""
    app = probe_app(tmp_path)
    app.state.rate_limits = RateLimits(clock)
    app.add_middleware(RateLimitMiddleware, limits=app.state.rate_limits, rate=rate, burst=burst)
    return app


def test_one_request_too_many_is_told_when_to_come_back(tmp_path: Path) -> None:
    clock = Clock()
    client = TestClient(limited(tmp_path, clock, rate=0.4, burst=3))

    served = [client.get("/healthz").status_code for _ in range(3)]
    refused = client.get("/healthz")
    clock.now += 2.5
    later = client.get("/healthz")

    assert served == [200, 200, 200]
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "3"
    assert refused.json()["problems"][0]["code"] == "too_many_requests"
    assert later.status_code == 200
    assert client.get("/healthz").status_code == 429


def test_another_address_is_not_refused(tmp_path: Path) -> None:
    app = limited(tmp_path, Clock(), rate=1, burst=1)

    answers = [
        TestClient(app, client=(host, 1)).get("/healthz").status_code for host in ("10.0.0.1", "10.0.0.2", "10.0.0.1")
    ]

    assert answers == [200, 200, 429]


def test_settings_say_how_many_and_a_refusal_has_an_id_and_a_count(tmp_path: Path) -> None:
    settings = ApiSettings(data_dir=tmp_path, rate_limit_per_address=0.001, rate_burst_per_address=2)
    client = TestClient(create_app(settings))

    answers = [client.get("/healthz") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert found(answers[2]) == {("too_many_requests", "")}


def test_a_route_can_limit_whoever_it_knows(tmp_path: Path) -> None:
    app = probe_app(tmp_path)
    app.state.rate_limits = RateLimits(Clock())

    @app.get("/tapped")
    @public
    def tapped(request: Request, patient: str) -> str:
        limit(request, f"patient:{patient}", rate=5, burst=5)
        return "ok"

    client = TestClient(app)

    assert [client.get("/tapped?patient=1").status_code for _ in range(6)] == [200] * 5 + [429]
    assert client.get("/tapped?patient=2").status_code == 200
