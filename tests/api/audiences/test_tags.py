"""Single tags over HTTP, on both stores: listed, edited, put in order, copied, enabled, disabled, deleted."""

from typing import Any

from fastapi.testclient import TestClient

from api.access.actors import Level, ScopeChannel
from tests.api.access.people import audited, other
from tests.api.audiences.asking import finished
from tests.api.audiences.conftest import MEN, WOMEN, a_group, a_tag, match, naming, post
from tests.api.conftest import MakeClient
from tests.api.probe import found


def listed(client: TestClient, **query: Any) -> list[str]:
    """Names, page after page of two."""
    tags: list[str] = []
    cursor = None
    while True:
        page = client.get("/v1/tags", params={"limit": 2, **query, **({"cursor": cursor} if cursor else {})}).json()
        tags += [tag["name"] for tag in page["tags"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return tags


def edit_of(made: Any, **changed: Any) -> dict[str, Any]:
    return {name: made.json()[name] for name in ("name", "description", "color", "is_enabled")} | changed


def test_tags_are_found_by_group_name_state_and_kind_in_the_order_of_groups(client: TestClient) -> None:
    smart = a_group(client, "智能", tags=[{"name": "女性", "filter": WOMEN}, {"name": "草稿"}]).json()["id"]
    static = a_group(client, "静态", smart=False, tags=[{"name": "怕疼"}, {"name": "怕疼?", "is_enabled": False}])
    a_tag(client, smart, "最新")

    assert listed(client) == ["怕疼", "怕疼?", "最新", "女性", "草稿"]
    assert listed(client, group_id=static.json()["id"]) == ["怕疼", "怕疼?"]
    assert listed(client, smart="true", enabled="false") == ["最新", "草稿"]
    assert listed(client, search="疼", enabled="true") == ["怕疼"]
    assert client.get("/v1/tags", params={"cursor": "bm9uc2Vuc2U"}).status_code == 422


def test_tags_go_to_the_top_the_bottom_and_where_somebody_drags_them(client: TestClient) -> None:
    made = a_group(client, smart=False, tags=[{"name": name} for name in "甲乙丙丁"])
    group, ids = made.json()["id"], {tag["name"]: tag["id"] for tag in made.json()["tags"]}

    post(client, f"/v1/tags/{ids['丙']}/move", {"to": "top"})
    post(client, f"/v1/tags/{ids['甲']}/move", {"to": "bottom"})
    moved = listed(client)
    client.put(f"/v1/tag-groups/{group}/order", json={"ids": [ids["丁"], ids["丙"]]})

    assert moved == ["丙", "乙", "丁", "甲"]
    assert listed(client) == ["丁", "乙", "丙", "甲"]


def test_a_tag_is_edited_from_the_version_that_was_read(client: TestClient) -> None:
    made = a_group(client, smart=False, tags=[{"name": "甲"}, {"name": "乙"}])
    tag = client.get(f"/v1/tags/{made.json()['tags'][0]['id']}")
    path = f"/v1/tags/{tag.json()['id']}"

    taken = client.put(path, json=edit_of(tag, name="乙"), headers=match(tag))
    edited = client.put(path, json=edit_of(tag, name="丙", color="#00ff7f", is_enabled=False), headers=match(tag))
    stale = client.put(path, json=edit_of(tag), headers=match(tag))
    wrong = client.put(path, json=edit_of(tag, color="#12345", description="长" * 501), headers=match(edited))

    assert (taken.status_code, found(taken)) == (409, {("name_taken", "/name")})
    assert edited.status_code == 200
    assert {name: edited.json()[name] for name in ("name", "color", "is_enabled", "version")} == {
        "name": "丙", "color": "#00FF7F", "is_enabled": False, "version": 2,
    }  # fmt: skip
    assert (stale.status_code, client.put(path, json=edit_of(tag)).status_code) == (412, 428)
    assert found(wrong) == {("unknown_color", "/color"), ("string_too_long", "/description")}
    assert [row["action"] for row in audited(client)] == ["tag_group.create", "tag.edit"]


def test_a_copy_has_the_rule_and_another_name(client: TestClient) -> None:
    group = a_group(client).json()["id"]
    original = a_tag(client, group, filter=WOMEN, color="pink", description="到店女性")
    drafted = a_tag(client, group, "未发布")
    path = f"/v1/tags/{drafted.json()['id']}"
    client.put(f"{path}/draft", json={"filter": MEN}, headers=match(drafted))

    same = post(client, f"/v1/tags/{original.json()['id']}/copy", {"name": "女性客户"})
    copied = post(client, f"/v1/tags/{original.json()['id']}/copy", {"name": "副本"})
    changed = post(
        client,
        f"/v1/tags/{original.json()['id']}/copy",
        {"name": "男性", "filter": MEN, "is_enabled": False, "description": "到店男性", "color": "red"},
    )
    still_draft = post(client, f"{path}/copy", {"name": "仍未发布"})

    assert (same.status_code, found(same)) == (409, {("name_taken", "/name")})
    kept = ("filter", "color", "description", "group_id", "is_enabled")
    assert [copied.json()[name] for name in kept] == [original.json()[name] for name in kept]
    assert copied.json()["definition"] == 1
    assert [changed.json()[name] for name in kept] == [MEN, "red", "到店男性", group, False]
    assert (still_draft.json()["definition"], still_draft.json()["draft"]) == (None, MEN)
    (first,) = client.get(f"/v1/tags/{copied.json()['id']}/definitions").json()["definitions"]
    assert first["note"] == f"复制自编号 {original.json()['id']} / Copied from {original.json()['id']}"


def test_a_tag_that_a_rule_names_is_neither_disabled_nor_deleted(client: TestClient) -> None:
    group = a_group(client).json()["id"]
    used = a_tag(client, group, filter=WOMEN)
    user = a_tag(client, group, "引用者", filter=naming(used.json()["id"], kind="tag", operator="not_in"))
    path, user_path = (f"/v1/tags/{one.json()['id']}" for one in (used, user))

    disabled = post(client, f"{path}/disable", headers=match(used))
    unticked = client.put(path, json=edit_of(used, is_enabled=False, name="引用者"), headers=match(used))
    deleted = client.delete(path, headers=match(used))
    user_off = post(client, f"{user_path}/disable", headers=match(user))
    still_named = client.delete(path, headers=match(used))
    now_off = post(client, f"{path}/disable", headers=match(used))
    too_early = post(client, f"{user_path}/enable", headers=match(user_off))
    client.delete(user_path, headers=match(user_off))
    gone = client.delete(path, headers=match(now_off))

    named = {"code": "referenced", "path": "", "message_zh": f"被标签「引用者」(编号 {user.json()['id']})的规则引用",
             "message_en": f"The rule of the tag “引用者” ({user.json()['id']}) names it."}  # fmt: skip
    assert [one.status_code for one in (disabled, unticked, deleted, still_named)] == [409] * 4
    assert disabled.json()["problems"] == deleted.json()["problems"] == still_named.json()["problems"] == [named]
    assert found(unticked) == {("name_taken", "/name"), ("referenced", "")}
    assert (user_off.status_code, now_off.status_code) == (200, 200)
    assert (too_early.status_code, found(too_early)) == (409, {("tag_disabled", "/filter/rules/0/tag_ids")})
    assert gone.status_code == 204


def test_only_a_published_rule_can_be_enabled_and_that_calculates_it(client: TestClient) -> None:
    made = a_tag(client, a_group(client).json()["id"])
    path = f"/v1/tags/{made.json()['id']}"

    early = post(client, f"{path}/enable", headers=match(made))
    published = post(client, f"{path}/publish", {"filter": WOMEN}, match(made))
    enabled = post(client, f"{path}/enable", headers=match(published))
    again = post(client, f"{path}/enable", headers=match(enabled))

    assert (early.status_code, found(early)) == (409, {("definition_required", "/filter")})
    assert (published.json()["is_enabled"], published.json()["calculation"]) == (False, None)
    assert enabled.json()["is_enabled"] is True
    assert client.get(f"/v1/jobs/{enabled.json()['calculation']}").json()["status"] == "queued"
    assert (again.status_code, again.json()["version"]) == (200, enabled.json()["version"])
    assert again.json()["calculation"] is None


def test_static_tags_have_no_rule(client: TestClient) -> None:
    group = a_group(client, smart=False).json()["id"]
    made = a_tag(client, group, "怕疼")
    path = f"/v1/tags/{made.json()['id']}"

    with_filter = post(client, "/v1/tags", {"group_id": group, "name": "女性", "filter": WOMEN})
    nowhere = post(client, "/v1/tags", {"group_id": 99, "name": "女性"})
    published = post(client, f"{path}/publish", {"filter": WOMEN}, match(made))
    drafted = client.put(f"{path}/draft", json={"filter": WOMEN}, headers=match(made))

    assert found(with_filter) == {("static_takes_no_filter", "/filter")}
    assert found(nowhere) == {("tag_group_unknown", "/group_id")}
    assert [(one.status_code, found(one)) for one in (published, drafted)] == [(409, {("not_smart", "")})] * 2
    assert (made.json()["is_enabled"], made.json()["member_count"]) == (True, 0)
    assert client.get("/v1/segments/1").status_code == client.get("/v1/segments/1/draft").status_code == 404


def test_how_many_are_in_a_tag_is_told_of_the_customers_whom_the_caller_sees(make_client: MakeClient) -> None:
    client = make_client(published=True)
    made = a_tag(client, a_group(client).json()["id"], filter=WOMEN)
    finished(client, made.json()["calculation"])
    listed = {"tag_ids": [made.json()["id"]], "columns": ["clinic_name"]}
    women = client.post("/v1/customers/search", json=listed).json()["customers"]
    clinic_id = next(one["clinic_id"] for one in women if one["clinic_id"])
    scope = dict.fromkeys(ScopeChannel, Level.CLINIC)
    clinic = other(client, permissions=("customer.view",), clinic_id=clinic_id, data_scope=scope)

    mine, theirs = (client.get("/v1/tags", headers=headers).json()["tags"][0] for headers in ({}, clinic))

    assert mine["as_of"] == "2026-11-20"
    all_of_them = client.post("/v1/customers/search", json=listed).json()["total"]
    of_the_clinic = client.post("/v1/customers/search", json=listed, headers=clinic).json()["total"]
    assert 0 < of_the_clinic < all_of_them
    assert (mine["member_count"], theirs["member_count"]) == (all_of_them, of_the_clinic)
    assert theirs["computed_at"] == mine["computed_at"]
