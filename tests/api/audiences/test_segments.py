"""Segments over HTTP, on both stores: their order, what finds them, and the platform's own."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.api.access.people import audited, other
from tests.api.audiences.conftest import MEN, WOMEN, a_segment, insert_preset, match, post
from tests.api.probe import found


def listed(client: TestClient, **query: Any) -> list[str]:
    """Names, page after page of two."""
    segments: list[str] = []
    cursor = None
    while True:
        told = {"limit": 2, **query, **({"cursor": cursor} if cursor else {})}
        page = client.get("/v1/segments", params=told).json()
        segments += [segment["name"] for segment in page["segments"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return segments


def test_enabled_segments_come_first_each_kind_newest_first(client: TestClient) -> None:
    a_segment(client, "甲", smart=False)
    a_segment(client, "乙", is_enabled=False)
    a_segment(client, "丙")
    a_segment(client, "丁", smart=False, is_enabled=False)
    a_segment(client, "戊 VIP")

    assert listed(client) == ["戊 VIP", "丙", "甲", "丁", "乙"]
    assert listed(client, smart="true") == ["戊 VIP", "丙", "乙"]
    assert listed(client, enabled="false", smart="false") == ["丁"]
    assert listed(client, search="vip") == ["戊 VIP"]
    for cursor in ("x", "WzEsIDIsIDNd" * 9, "WzEsIDk5OTk5OTk5OTk5OTk5OTk5OTksIDNd"):
        assert found(client.get("/v1/segments", params={"cursor": cursor})) == {("invalid_cursor", "/query/cursor")}


@pytest.mark.parametrize(("member", "most"), [("name", 20), ("description", 500)])
def test_names_and_descriptions_have_their_longest(client: TestClient, member: str, most: int) -> None:
    longest, longer = (
        post(client, "/v1/segments", {"is_smart": False, "name": "分群", member: "牙" * length})
        for length in (most, most + 1)
    )

    assert longest.status_code == 201
    assert found(longer) == {("string_too_long", f"/{member}")}


def test_a_segment_is_edited_copied_and_deleted(client: TestClient) -> None:
    made = a_segment(client, description="到店女性")
    path = made.headers["location"]

    body = {"name": "女客户", "description": "全部女性", "is_enabled": False}
    edited = client.put(path, json=body, headers=match(made))
    taken = post(client, "/v1/segments", {"is_smart": False, "name": "女客户"})
    copied = post(client, f"{path}/copy", {"name": "男客户", "filter": MEN, "is_enabled": True})
    deleted = client.delete(path, headers=match(edited))
    # A name is free again, an id never.
    again = a_segment(client, "女客户")

    assert {name: edited.json()[name] for name in body} == body
    assert (taken.status_code, found(taken)) == (409, {("name_taken", "/name")})
    assert (copied.json()["filter"], copied.json()["description"], copied.json()["is_enabled"]) == (
        MEN,
        "全部女性",
        True,
    )
    assert (deleted.status_code, client.get(path).status_code) == (204, 404)
    assert client.delete(path, headers=match(edited)).status_code == 404
    assert again.json()["id"] > copied.json()["id"]
    actions = [row["action"] for row in audited(client)]
    assert actions == ["segment.create", "segment.edit", "segment.copy", "segment.delete", "segment.create"]


def test_the_same_key_makes_one_segment_and_the_first_answer_stands(client: TestClient) -> None:
    body = {"is_smart": True, "name": "女性", "filter": WOMEN}
    key = {"Idempotency-Key": "once"}

    first = client.post("/v1/segments", json=body, headers=key)
    client.delete(first.headers["location"], headers=match(first))
    again = client.post("/v1/segments", json=body, headers=key)

    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert listed(client) == []


def test_the_platforms_own_segments_are_copied_and_nothing_else(client: TestClient) -> None:
    preset = f"/v1/segments/{insert_preset(client)}"
    read = client.get(preset)
    body = {"name": "我的", "description": "", "is_enabled": True}

    changes = [
        client.put(preset, json=body, headers=match(read)),
        client.delete(preset, headers=match(read)),
        client.put(f"{preset}/draft", json={"filter": WOMEN}, headers=match(read)),
        post(client, f"{preset}/publish", {"filter": WOMEN}, match(read)),
        post(client, f"{preset}/disable", headers=match(read)),
    ]
    copied = post(client, f"{preset}/copy", {"name": "我的检查", "filter": WOMEN})

    assert [(one.status_code, found(one)) for one in changes] == [(409, {("preset", "")})] * 5
    assert (copied.status_code, copied.json()["is_preset"]) == (201, False)
    assert client.get("/v1/audience-quota").json()["segments"]["enabled"] == 1


def test_who_may_not_manage_segments_reads_them_only(client: TestClient) -> None:
    made = a_segment(client)
    path = made.headers["location"]
    reader = other(client, permissions=("customer.view", "tag.manage"))

    writes = [
        post(client, "/v1/segments", {"is_smart": False, "name": "分群"}, reader),
        client.put(
            path, json={"name": "分群", "description": "", "is_enabled": True}, headers={**reader, **match(made)}
        ),
        client.delete(path, headers={**reader, **match(made)}),
        client.put(f"{path}/draft", json={"filter": MEN}, headers={**reader, **match(made)}),
        post(client, f"{path}/definitions/1/restore", {}, {**reader, **match(made)}),
    ]

    assert {answer.status_code for answer in writes} == {403}
    assert client.get(path, headers=reader).json()["filter"] == WOMEN
