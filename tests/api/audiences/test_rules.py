"""Rules of smart tags and segments over HTTP, on both stores: drafts, versions, differences, what is taken back."""

from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import select

from api.access.actors import ScopeChannel
from api.storage.tables.jobs import job
from tests.api.access.people import audited, give, other, store_of
from tests.api.audiences.conftest import MEN, WOMEN, a_segment, match, naming, post
from tests.api.conftest import MakeClient
from tests.api.probe import found

VISITS = {"kind": "activity", "source": "appointment", "occurrence": "did",
          "having": [{"metric": "count", "operator": "gte", "value": 1}]}  # fmt: skip
BY_PHONE: dict[str, Any] = {
    "combinator": "and",
    "rules": [{"kind": "attribute", "field": "phone", "operator": "eq", "value": "13812345678"}],
}


def both(*rules: Any, combinator: str = "and") -> dict[str, Any]:
    return {"combinator": combinator, "rules": list(rules)}


def jobs(client: TestClient) -> list[list[int]]:
    """What is to be calculated, in the order in which it was asked for."""
    with store_of(client).read() as connection:
        rows = connection.scalars(select(job.c.params).order_by(job.c.created_at))
        return [params["ids"] for params in rows]


def test_a_draft_changes_nothing_until_it_is_published(client: TestClient) -> None:
    made = a_segment(client)
    path = made.headers["location"]

    drafted = client.put(f"{path}/draft", json={"filter": MEN}, headers=match(made))
    read = client.get(f"{path}/draft").json()
    calculated_before = jobs(client)
    published = post(client, f"{path}/publish", {"note": "改为男性"}, match(drafted))

    assert (drafted.json()["filter"], drafted.json()["draft"], drafted.json()["definition"]) == (WOMEN, MEN, 1)
    assert (read["filter"], read["sentence"]["zh"], read["problems"]) == (MEN, "性别 等于 男", [])
    assert calculated_before == [[made.json()["id"]]]
    assert (published.json()["filter"], published.json()["draft"], published.json()["definition"]) == (MEN, None, 2)
    assert jobs(client) == [[made.json()["id"]]] * 2
    assert client.get(f"{path}/draft").status_code == 404
    empty = post(client, f"{path}/publish", {}, match(published))
    assert (empty.status_code, found(empty)) == (409, {("no_draft", "/filter")})


def test_a_disabled_segment_is_said_to_be_disabled_wherever_it_is_asked_for(client: TestClient) -> None:
    made = a_segment(client, "停用的分群")
    number = made.json()["id"]
    post(client, f"{made.headers['location']}/disable", headers=match(made))
    export = {"kind": "customers", "format": "xlsx", "segment_ids": [number]}

    listed = client.post("/v1/customers/search", json={"segment_ids": [number], "advanced": naming(number)})
    exported = post(client, "/v1/exports", export)
    previewed = client.post("/v1/filters/preview", json={"filter": naming(number)})
    kept = post(client, "/v1/customers/filters", {"name": "常用", "advanced": naming(number)})

    assert found(listed) == {
        ("segment_disabled", "/segment_ids/0"),
        ("segment_disabled", "/advanced/rules/0/segment_ids"),
    }
    assert found(exported) == {("segment_disabled", "/segment_ids/0")}
    assert found(previewed) == {("segment_disabled", "/filter/rules/0/segment_ids")}
    assert found(kept) == {("segment_disabled", "/advanced/rules/0/segment_ids")}
    assert "「停用的分群」" in listed.json()["problems"][0]["message_zh"]


def test_a_draft_is_thrown_away_and_counts_for_nothing(client: TestClient) -> None:
    made = post(client, "/v1/segments", {"is_smart": True, "name": "草稿"})
    path = made.headers["location"]
    base = a_segment(client, "基础")

    drafted = client.put(f"{path}/draft", json={"filter": naming(base.json()["id"])}, headers=match(made))
    quota = client.get("/v1/audience-quota").json()["segments"]
    base_off = post(client, f"{base.headers['location']}/disable", headers=match(base))
    refused = post(client, f"{path}/publish", {}, match(drafted))
    thrown = client.delete(f"{path}/draft", headers=match(drafted))

    assert (made.json()["is_enabled"], quota["enabled"]) == (False, 1)
    assert base_off.status_code == 200
    assert (refused.status_code, found(refused)) == (422, {("segment_disabled", "/filter/rules/0/segment_ids")})
    assert thrown.status_code == 204
    assert client.get(path).json()["has_draft"] is False
    assert client.delete(f"{path}/draft", headers={"If-Match": '"3"'}).status_code == 409


def test_versions_tell_who_when_and_why_and_an_earlier_one_is_taken_back(client: TestClient) -> None:
    made = a_segment(client, note="第一版")
    path = made.headers["location"]
    second = post(client, f"{path}/publish", {"filter": MEN, "note": "第二版"}, match(made))

    restored = post(client, f"{path}/definitions/1/restore", {}, match(second))
    versions = client.get(f"{path}/definitions", params={"limit": 2}).json()
    first = client.get(f"{path}/definitions", params={"limit": 2, "cursor": versions["next_cursor"]}).json()
    detail = client.get(f"{path}/definitions/2").json()

    assert (restored.json()["filter"], restored.json()["definition"]) == (WOMEN, 3)
    told = [(one["number"], one["note"], one["is_current"]) for one in versions["definitions"] + first["definitions"]]
    assert told == [(3, "恢复自版本 1 / Restored from version 1", True), (2, "第二版", False), (1, "第一版", False)]
    assert {one["created_by"] for one in versions["definitions"]} == {made.json()["created_by"]}
    me = client.get("/v1/me").json()["name"]
    assert {one["created_by_name"] for one in [*versions["definitions"], detail]} == {me}
    assert (detail["rule"]["filter"], detail["sentence"]["en"]) == (MEN, "Gender is 男")
    missing = post(client, f"{path}/definitions/9/restore", {}, match(restored))
    assert (missing.status_code, client.get(f"{path}/definitions/9").status_code) == (404, 404)
    told_of = [(row["action"], row["before"], row["after"]) for row in audited(client)[1:]]
    assert told_of == [
        ("segment.publish", {"definition": 1}, {"definition": 2}),
        ("segment.restore", {"definition": 2}, {"definition": 3}),
    ]


def test_two_versions_are_told_apart_rule_by_rule(client: TestClient) -> None:
    women, men = WOMEN["rules"][0], MEN["rules"][0]
    lead = {"kind": "attribute", "field": "city", "operator": "eq", "value": "深圳"}
    made = a_segment(client, filter=both(women, lead))
    path = made.headers["location"]
    second = post(client, f"{path}/publish", {"filter": both(VISITS, men, combinator="or")}, match(made))
    post(client, f"{path}/publish", {"filter": both(both(men), VISITS, combinator="or")}, match(second))

    changed = client.get(f"{path}/definitions/2/diff").json()
    same = client.get(f"{path}/definitions/3/diff", params={"base": 2}).json()

    told = [(one["change"], one["before_path"], one["after_path"]) for one in changed["changes"]]
    assert told == [
        ("combined", "", ""),
        ("removed", "/rules/1", None),
        ("added", None, "/rules/0"),
        ("changed", "/rules/0", "/rules/1"),
    ]
    assert changed["changes"][3]["before"]["zh"] == "性别 等于 女"
    assert changed["changes"][3]["after"]["zh"] == "性别 等于 男"
    assert (same["is_same_meaning"], same["changes"]) == (True, [])
    assert client.get(f"{path}/definitions/1/diff").status_code == 404


def test_everything_wrong_with_a_rule_is_told_at_its_place(client: TestClient) -> None:
    made = a_segment(client)
    off = a_segment(client, "已禁用", smart=False, is_enabled=False)
    wrong = both(
        {"kind": "attribute", "field": "shoe_size", "operator": "eq", "value": 1},
        {"kind": "attribute", "field": "gender", "operator": "eq", "value": "其它"},
        {"kind": "segment", "operator": "in", "segment_ids": [off.json()["id"]]},
        {"kind": "tag", "operator": "in", "tag_ids": [made.json()["id"]]},
    )

    drafted = client.put(f"{made.headers['location']}/draft", json={"filter": wrong}, headers=match(made))
    published = post(client, f"{made.headers['location']}/publish", {"filter": wrong}, match(made))
    created = post(client, "/v1/segments", {"is_smart": True, "name": "新", "filter": wrong})

    problems = {
        ("unknown_field", "/filter/rules/0/field"),
        ("unknown_option", "/filter/rules/1/value"),
        ("segment_disabled", "/filter/rules/2/segment_ids"),
        ("unknown_tag", "/filter/rules/3/tag_ids"),
    }
    assert [(one.status_code, found(one)) for one in (drafted, published, created)] == [(422, problems)] * 3
    assert client.get(made.headers["location"]).json()["definition"] == 1


def test_a_rule_has_at_most_sixty_four_conditions(client: TestClient) -> None:
    def rule(conditions: int) -> dict[str, Any]:
        ages = ({"kind": "attribute", "field": "age", "operator": "eq", "value": one} for one in range(conditions))
        return both(*ages, combinator="or")

    most = post(client, "/v1/segments", {"is_smart": True, "name": "六十四", "filter": rule(64)})
    more = post(client, "/v1/segments", {"is_smart": True, "name": "六十五", "filter": rule(65)})

    assert most.status_code == 201
    assert (more.status_code, found(more)) == (422, {("too_many_conditions", "/filter")})


def test_what_is_odd_about_a_rule_is_told_and_stands_in_nobodys_way(client: TestClient) -> None:
    nobody = both(WOMEN["rules"][0], MEN["rules"][0])

    made = a_segment(client, filter=nobody)
    detail = client.get(f"{made.headers['location']}/definitions/1").json()

    codes = {one["code"] for one in made.json()["warnings"]}
    assert "always_empty" in codes
    assert {one["code"] for one in detail["rule"]["warnings"]} == codes


def test_a_rule_about_a_field_that_the_caller_sees_masked_is_neither_written_nor_read(client: TestClient) -> None:
    made = a_segment(client, "指定手机", filter=BY_PHONE)
    path = made.headers["location"]
    marketer = other(client, permissions=("customer.view", "segment.manage"))
    post(client, f"{path}/publish", {"filter": WOMEN}, match(made))
    current = client.get(path)

    written = post(client, "/v1/segments", {"is_smart": True, "name": "手机", "filter": BY_PHONE}, marketer)
    version = client.get(f"{path}/definitions/1", headers=marketer).json()
    diff = client.get(f"{path}/definitions/2/diff", headers=marketer)
    restored = post(client, f"{path}/definitions/1/restore", {}, {**marketer, **match(current)})

    assert found(written) == {("field_not_permitted", "/filter/rules/0/field")}
    assert (version["is_hidden"], version["sentence"], version["rule"]["filter"]) == (True, None, None)
    assert (diff.status_code, found(diff)) == (403, {("masked_field", "")})
    assert (restored.status_code, found(restored)) == (422, {("field_not_permitted", "/filter/rules/0/field")})
    assert client.get(f"{path}/definitions/1").json()["rule"]["filter"] == BY_PHONE
    hidden = client.get(a_segment(client, "另一部手机", filter=BY_PHONE).headers["location"], headers=marketer).json()
    assert (hidden["is_hidden"], hidden["filter"], hidden["rule"]) == (True, None, None)
    assert "13812345678" not in str(audited(client))


def test_those_who_name_it_are_calculated_after_it(client: TestClient) -> None:
    base = a_segment(client, "基础")
    middle = a_segment(client, "中间", filter=naming(base.json()["id"]))
    top = a_segment(client, "顶层", filter=naming(middle.json()["id"], base.json()["id"]))
    idle = a_segment(client, "未启用", filter=naming(base.json()["id"]), is_enabled=False)

    published = post(client, f"{base.headers['location']}/publish", {"filter": MEN}, match(base))

    assert jobs(client)[-1] == [made.json()["id"] for made in (base, middle, top)]
    assert published.json()["calculation"] is not None
    assert idle.json()["calculation"] is None


def test_static_segments_need_no_published_version_and_rules_do(make_client: MakeClient) -> None:
    client = make_client(settings={"job_workers": 0})

    static = a_segment(client, "静态", smart=False)
    smart = post(client, "/v1/segments", {"is_smart": True, "name": "智能", "filter": WOMEN})
    without = post(client, "/v1/segments", {"is_smart": True, "name": "智能"})

    assert static.json()["is_enabled"] is True
    assert smart.status_code == 503
    assert without.json()["is_enabled"] is False
    assert [one["name"] for one in client.get("/v1/segments").json()["segments"]] == ["静态", "智能"]


def test_who_sees_phones_at_one_clinic_only_writes_no_rule_that_would_tell_those_of_another(client: TestClient) -> None:
    clinic, another = sorted(one["clinic_id"] for one in client.get("/v1/clinics").json()["clinics"])[:2]
    may = ("customer.view", "customer.phone.view", "segment.manage")
    told: dict[str, Any] = {
        "permissions": may,
        "clinic_id": clinic,
        "data_scope": dict.fromkeys(ScopeChannel, "clinic"),
    }
    of_one, of_two = other(client, **told), other(client, **told)
    give(client, of_two, "analyst", another)

    made, refused = (
        post(client, "/v1/segments", {"is_smart": True, "name": name, "filter": BY_PHONE}, headers)
        for name, headers in (("本院", of_one), ("两院", of_two))
    )

    assert made.status_code == 201
    assert (refused.status_code, found(refused)) == (422, {("field_not_permitted", "/filter/rules/0/field")})
    assert client.post("/v1/filters/preview", json={"filter": BY_PHONE}, headers=of_two).status_code == 200
