"""Groups of tags over HTTP, on both stores: made with their first tags, found, put in order, deleted."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.api.access.people import audited, other
from tests.api.audiences.conftest import MEN, WOMEN, a_group, a_segment, a_tag, match, naming, post
from tests.api.probe import found


def names(client: TestClient, **query: Any) -> list[str]:
    return [group["name"] for group in client.get("/v1/tag-groups", params=query).json()["groups"]]


def test_a_group_is_made_with_its_first_tags_in_their_order(client: TestClient) -> None:
    tags = [
        {"name": "女性", "filter": WOMEN, "color": "red"},
        {"name": "男性", "filter": MEN, "is_enabled": False, "color": "#aabb0c"},
        {"name": "以后再说"},
    ]

    made = a_group(client, tags=tags)

    told = made.json()
    assert [(tag["name"], tag["is_enabled"], tag["color"]) for tag in told["tags"]] == [
        ("女性", True, "red"), ("男性", False, "#AABB0C"), ("以后再说", False, "blue"),
    ]  # fmt: skip
    assert [tag["rule"] and tag["rule"]["zh"] for tag in told["tags"]] == ["性别 等于 女", "性别 等于 男", None]
    assert (told["tag_count"], told["enabled_count"]) == (3, 1)
    listed = client.get("/v1/tags", params={"group_id": told["id"]}).json()["tags"]
    assert [tag["id"] for tag in listed] == [tag["id"] for tag in told["tags"]]
    job = client.get(f"/v1/jobs/{told['calculation']}").json()
    assert (job["kind"], job["status"]) == ("audiences.recalculate", "queued")


def test_everything_wrong_with_a_new_group_is_told_at_once(client: TestClient) -> None:
    wrong = {"combinator": "and", "rules": [{"kind": "attribute", "field": "shoe_size", "operator": "eq", "value": 1}]}
    tags = [
        {"name": "甲", "filter": wrong},
        {"name": "甲", "filter": naming(99, kind="tag")},
        {"name": "乙", "is_enabled": True},
    ]

    refused = post(client, "/v1/tag-groups", {"is_smart": True, "name": "组", "tags": tags})

    assert refused.status_code == 422
    assert found(refused) == {
        ("name_taken", "/tags/0/name"),
        ("name_taken", "/tags/1/name"),
        ("unknown_field", "/tags/0/filter/rules/0/field"),
        ("unknown_tag", "/tags/1/filter/rules/0/tag_ids"),
        ("definition_required", "/tags/2/filter"),
    }
    assert names(client) == []


@pytest.mark.parametrize(("path", "most"), [("name", 20), ("tag", 50), ("description", 500)])
def test_names_and_descriptions_have_their_longest(client: TestClient, path: str, most: int) -> None:
    def body(length: int) -> dict[str, Any]:
        text = "牙" * length
        tag = {"name": text if path == "tag" else "标签", "description": text if path == "description" else ""}
        return {"is_smart": False, "name": text if path == "name" else "组", "tags": [tag]}

    longest, longer = (post(client, "/v1/tag-groups", body(length)) for length in (most, most + 1))

    assert longest.status_code == 201, longest.text
    assert longer.status_code == 422
    assert {code for code, _ in found(longer)} == {"string_too_long"}


def test_the_newest_group_comes_first_until_somebody_orders_them(client: TestClient) -> None:
    ids = {name: a_group(client, name, smart=False).json()["id"] for name in ("一", "二", "三", "四")}
    newest_first = names(client)

    ordered = client.put("/v1/tag-groups/order", json={"is_smart": False, "ids": [ids["一"], ids["四"], ids["二"]]})

    assert newest_first == ["四", "三", "二", "一"]
    # The third keeps its place; the others change places among themselves.
    assert names(client) == ["一", "三", "四", "二"]
    assert ordered.json()["ids"] == [ids[name] for name in names(client)]
    refused = client.put("/v1/tag-groups/order", json={"is_smart": True, "ids": [ids["一"], ids["一"]]})
    assert found(refused) == {("not_in_list", "/ids/0"), ("not_in_list", "/ids/1")}
    assert names(client, limit=1) == ["一"]
    page = client.get("/v1/tag-groups", params={"limit": 1}).json()
    assert names(client, limit=9, cursor=page["next_cursor"]) == ["三", "四", "二"]


def test_a_search_finds_groups_by_their_name_and_by_their_tags(client: TestClient) -> None:
    a_group(client, "VIP 客户", smart=False, tags=[{"name": "年消费过万"}])
    a_group(client, "来源", smart=False, tags=[{"name": "vip 转介绍"}, {"name": "线上"}])
    a_group(client, "100%正畸", smart=False)

    groups = client.get("/v1/tag-groups", params={"search": "vIp"}).json()["groups"]

    assert [(one["name"], one["name_matches"], [tag["name"] for tag in one["matching_tags"]]) for one in groups] == [
        ("来源", False, ["vip 转介绍"]),
        ("VIP 客户", True, []),
    ]
    assert names(client, search="%") == ["100%正畸"]
    assert names(client, search="_") == []
    assert names(client, smart=True) == []


def test_a_name_is_given_once_among_smart_and_once_among_static_groups(client: TestClient) -> None:
    static, smart = (a_group(client, "会员", smart=smart) for smart in (False, True))
    another = a_group(client, "其他")

    again = post(client, "/v1/tag-groups", {"is_smart": True, "name": " 会员 "})
    renamed = client.put(f"/v1/tag-groups/{another.json()['id']}", json={"name": "会员"}, headers=match(another))

    assert static.json()["id"] != smart.json()["id"]
    assert [(one.status_code, found(one)) for one in (again, renamed)] == [(409, {("name_taken", "/name")})] * 2


def test_a_group_is_renamed_from_the_version_that_was_read(client: TestClient) -> None:
    made = a_group(client)
    path = f"/v1/tag-groups/{made.json()['id']}"

    blind = client.put(path, json={"name": "新名称"})
    first = client.put(path, json={"name": "新名称"}, headers=match(made))
    second = client.put(path, json={"name": "更新的名称"}, headers=match(made))

    assert (blind.status_code, first.status_code, second.status_code) == (428, 200, 412)
    assert client.get(path).json()["name"] == "新名称"
    assert client.get(path).headers["etag"] == first.headers["etag"]


def test_a_group_goes_empty_or_with_its_tags_unless_a_rule_outside_names_one(client: TestClient) -> None:
    made = a_group(client, tags=[{"name": "女性", "filter": WOMEN}])
    group, tag = made.json()["id"], made.json()["tags"][0]["id"]
    a_tag(client, group, "同组引用", filter=naming(tag, kind="tag"))
    user = a_segment(client, "在别处", filter=naming(tag, kind="tag"))
    path, together = f"/v1/tag-groups/{group}", {"with_tags": "true"}

    full = client.delete(path, headers=match(made))
    used = client.delete(path, params=together, headers=match(made))
    client.delete(f"/v1/segments/{user.json()['id']}", headers=match(user))
    gone = client.delete(path, params=together, headers=match(made))

    assert (full.status_code, found(full)) == (409, {("group_not_empty", "/query/with_tags")})
    assert (used.status_code, found(used)) == (409, {("referenced", "")})
    assert "在别处" in used.json()["problems"][0]["message_zh"]
    assert gone.status_code == 204
    assert client.get(path).status_code == client.get(f"/v1/tags/{tag}").status_code == 404
    assert client.get("/v1/audience-quota").json()["tags"]["enabled"] == 0
    assert audited(client)[-1]["action"] == "tag_group.delete"


def test_who_may_not_manage_tags_reads_them_only(client: TestClient) -> None:
    made = a_group(client, smart=False, tags=[{"name": "标签"}])
    reader = other(client, permissions=("customer.view", "segment.manage"))
    path = f"/v1/tag-groups/{made.json()['id']}"
    tag = f"/v1/tags/{made.json()['tags'][0]['id']}"

    writes = [
        post(client, "/v1/tag-groups", {"is_smart": False, "name": "组"}, reader),
        client.put(path, json={"name": "组"}, headers={**reader, **match(made)}),
        client.delete(path, headers={**reader, **match(made)}),
        client.put("/v1/tag-groups/order", json={"is_smart": False, "ids": [1]}, headers=reader),
        client.put(f"{path}/order", json={"ids": [1]}, headers=reader),
        post(client, "/v1/tags", {"group_id": 1, "name": "标签"}, reader),
        post(client, f"{tag}/copy", {"name": "标签"}, reader),
        post(client, f"{tag}/move", {"to": "top"}, reader),
        post(client, f"{tag}/enable", headers={**reader, **match(made)}),
        post(client, f"{tag}/publish", {}, {**reader, **match(made)}),
    ]
    reads = [client.get(one, headers=reader) for one in ("/v1/tag-groups", path, "/v1/tags", tag)]

    assert {answer.status_code for answer in writes} == {403}
    assert {answer.status_code for answer in reads} == {200}
    blind = other(client, permissions=("tag.manage",))
    assert client.get("/v1/tags", headers=blind).status_code == 403
