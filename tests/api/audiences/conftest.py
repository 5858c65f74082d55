"""Somebody who may do everything with tags and segments, on a new store of each engine, and short ways to make some."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert

from api.clock import now
from api.storage.tables.audiences import audience, audience_version
from tests.api.access.people import once, store_of
from tests.api.conftest import MakeClient

WOMEN: dict[str, Any] = {
    "combinator": "and",
    "rules": [{"kind": "attribute", "field": "gender", "operator": "eq", "value": "女"}],
}
MEN: dict[str, Any] = {
    "combinator": "and",
    "rules": [{"kind": "attribute", "field": "gender", "operator": "eq", "value": "男"}],
}


@pytest.fixture
def client(make_client: MakeClient) -> Iterator[TestClient]:
    """Somebody who may do everything; jobs wait."""
    yield make_client(published=True, settings={"job_workers": 0})


def post(client: TestClient, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
    """One effect; ETags and other callers come as headers."""
    return client.post(path, json=body, headers={**once(), **(headers or {})})


def match(answer: Any) -> dict[str, str]:
    """The header that an edit of what was answered needs."""
    return {"If-Match": answer.headers["etag"]}


def a_group(client: TestClient, name: str = "消费能力", *, smart: bool = True, tags: Any = ()) -> Any:
    made = post(client, "/v1/tag-groups", {"is_smart": smart, "name": name, "tags": list(tags)})
    assert made.status_code == 201, made.text
    return made


def a_tag(client: TestClient, group_id: int, name: str = "女性客户", **more: Any) -> Any:
    made = post(client, "/v1/tags", {"group_id": group_id, "name": name, **more})
    assert made.status_code == 201, made.text
    return made


def a_segment(client: TestClient, name: str = "女性客户", *, smart: bool = True, **more: Any) -> Any:
    told = {"filter": WOMEN} if smart else {}
    made = post(client, "/v1/segments", {"is_smart": smart, "name": name, **told, **more})
    assert made.status_code == 201, made.text
    return made


def naming(*ids: int, kind: str = "segment", operator: str = "in") -> dict[str, Any]:
    """A rule of who is in one of these."""
    return {
        "combinator": "and",
        "rules": [{"kind": kind, "operator": operator, f"{kind}_ids": list(ids)}],
    }


def insert_preset(client: TestClient, name: str = "AI 牙齿检查") -> int:
    """A smart segment of the platform's own."""
    moment = now()
    row = {
        "kind": "segment", "is_smart": True, "name": name, "description": "", "position": 0, "is_enabled": True,
        "is_preset": True, "definition": None, "revision": 0, "version": 1, "created_at": moment,
        "created_by": "system:presets", "updated_at": moment, "updated_by": "system:presets",
    }  # fmt: skip
    return int(
        store_of(client).write(
            lambda connection: connection.execute(insert(audience).values(row).returning(audience.c.id)).scalar_one()
        )
    )


def note_members(client: TestClient, audience_id: int, count: int) -> None:
    """A calculation that found so many."""
    row = {
        "audience_id": audience_id, "number": 1, "definition": 1, "warehouse": "v1", "as_of": "2026-11-20",
        "computed_at": now(), "trigger": "nightly", "operator": "system:nightly", "member_count": count,
        "entered_count": count, "left_count": 0, "file": "f.parquet",
    }  # fmt: skip
    store_of(client).write(lambda connection: connection.execute(insert(audience_version).values(row)))
