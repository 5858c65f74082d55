"""Templates over HTTP, on both stores: each can be started from."""

from fastapi.testclient import TestClient

from tests.api.access.people import other
from tests.api.audiences.conftest import post
from tests.api.probe import found

NAMED_BY_THE_PRODUCT = [
    "沉睡线索", "预约未到店线索", "病历内容未成交客户", "初复诊未成交客户", "有后续治疗项目客户", "复诊商机开发",
    "客户满意度", "沉睡客户",
    "流失风险客户", "客户消费能力", "客户转介绍能力",
]  # fmt: skip


def test_every_template_is_told_in_words_and_can_be_started_from(client: TestClient) -> None:
    groups = client.get("/v1/tag-templates").json()["groups"]
    segments = client.get("/v1/segment-templates").json()["segments"]

    made = [post(client, "/v1/tag-groups/from-template", {"template": group["key"]}) for group in groups]
    saved = [
        post(client, "/v1/segments", {"is_smart": True, "name": one["name_zh"], "filter": one["filter"]})
        for one in segments
    ]

    assert [group["name_zh"] for group in groups] == NAMED_BY_THE_PRODUCT
    assert {"初诊主诉未成交客户", "预约明日到店客户", "7天内卡券即将到期客户"} <= {one["name_zh"] for one in segments}
    assert {answer.status_code for answer in made + saved} == {201}
    assert all(one["sentence"] for one in segments)
    told = [[(tag["name_zh"], tag["color"], tag["sentence"]) for tag in group["tags"]] for group in groups]
    kept = [[(tag["name"], tag["color"], tag["rule"]) for tag in answer.json()["tags"]] for answer in made]
    assert kept == told
    assert client.get("/v1/audience-quota").json()["tags"]["enabled"] == sum(map(len, told))


def test_a_group_from_a_template_may_have_another_name_and_wait(client: TestClient) -> None:
    body = {"template": client.get("/v1/tag-templates").json()["groups"][0]["key"], "name": "我的线索"}

    made = post(client, "/v1/tag-groups/from-template", {**body, "is_enabled": False})
    again = post(client, "/v1/tag-groups/from-template", body)
    unknown = post(client, "/v1/tag-groups/from-template", {"template": "no_such"})
    reader = other(client, permissions=("customer.view",))
    denied = post(client, "/v1/tag-groups/from-template", body, reader)

    assert (made.json()["name"], made.json()["enabled_count"], made.json()["calculation"]) == ("我的线索", 0, None)
    assert [(one.status_code, found(one)) for one in (again, unknown)] == [
        (409, {("name_taken", "/name")}), (422, {("template_unknown", "/template")}),
    ]  # fmt: skip
    assert denied.status_code == 403
    assert client.get("/v1/tag-templates", headers=reader).status_code == 200
