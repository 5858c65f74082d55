"""What tests do with tags and segments over the API, as a marketer's screen would."""

import itertools
import time
from collections.abc import Sequence
from typing import Any

from fastapi.testclient import TestClient

Json = dict[str, Any]

_keys = itertools.count()


def all_of(*rules: Json) -> Json:
    """Customers of whom all of these are true."""
    return {"combinator": "and", "rules": list(rules)}


def arrived_for_a_first_visit(days: int) -> Json:
    """过去一周内有到店的初诊用户: the example of S003 4.1.3, with as many days as wanted."""
    where = all_of(
        {"field": "arrived_at", "operator": "within_past", "value": {"n": days, "unit": "day"}},
        {"field": "visit_type", "operator": "eq", "value": "初诊"},
    )
    having = [{"metric": "count", "operator": "gte", "value": 1}]
    return all_of({"kind": "activity", "source": "appointment", "occurrence": "did", "where": where, "having": having})


def is_(field: str, operator: str, value: Any) -> Json:
    """A rule on an attribute."""
    return {"kind": "attribute", "field": field, "operator": operator, "value": value}


def in_segment(*ids: int) -> Json:
    return {"kind": "segment", "operator": "in", "segment_ids": list(ids)}


def send(client: TestClient, method: str, place: str, body: Json | None = None, **headers: str) -> Any:
    """A request that changes something, with a key of its own; the answer must be a good one."""
    answer = client.request(method, place, json=body, headers={"Idempotency-Key": f"test-{next(_keys)}", **headers})
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


def finished(client: TestClient, job_id: str, *, seconds: float = 60) -> Json:
    """The job once it has ended well."""
    ends_at = time.monotonic() + seconds
    while (job := client.get(f"/v1/jobs/{job_id}").json())["status"] in ("queued", "running"):
        assert time.monotonic() < ends_at, f"the job takes too long: {job}"
        time.sleep(0.02)
    assert job["status"] == "succeeded", job
    return dict(job)


def smart_segment(client: TestClient, name: str, document: Json) -> Json:
    """A published smart segment, calculated for the first time."""
    made = send(client, "POST", "/v1/segments", {"is_smart": True, "name": name, "filter": document})
    finished(client, made["calculation"])
    return dict(made)


def recalculated(client: TestClient, ids: Sequence[int]) -> Json:
    """What a calculation on demand told."""
    job = send(client, "POST", "/v1/audiences/recalculation", {"ids": list(ids)})
    return dict(finished(client, job["id"])["result"])


def members(client: TestClient, audience_id: int, *, limit: int = 200, **query: str) -> list[str]:
    """Ids of all members that the caller sees, page by page, checked against the count that each page tells."""
    found: list[str] = []
    counts: set[int] = set()
    cursor: str | None = None
    while True:
        params = {"limit": str(limit), **query, **({"cursor": cursor} if cursor else {})}
        page = client.get(f"/v1/audiences/{audience_id}/members", params=params)
        assert page.is_success, page.text
        told = page.json()
        found += [one["one_id"] for one in told["customers"]]
        counts.add(told["count"])
        cursor = told["next_cursor"]
        if cursor is None:
            assert counts == {len(found)} or len(counts) > 1, "a count is that of the list"
            return found


def log_entries(client: TestClient, **query: str) -> list[Json]:
    """The whole customer log that fits, page by page."""
    found: list[Json] = []
    cursor: str | None = None
    while True:
        page = client.get(
            "/v1/audiences/log", params={"limit": "50", **query, **({"cursor": cursor} if cursor else {})}
        )
        assert page.is_success, page.text
        told = page.json()
        found += told["entries"]
        cursor = told["next_cursor"]
        if cursor is None:
            return found
