"""Tags and segments that name each other, over HTTP on both stores: no circle, not too deep, also at once."""

from typing import Any

from fastapi.testclient import TestClient

from tests.api.audiences.conftest import WOMEN, a_group, a_segment, a_tag, match, naming, post
from tests.api.probe import found
from tests.at_once import at_once


def publish(client: TestClient, made: Any, document: dict[str, Any]) -> Any:
    """From the version that is there now."""
    path = made.headers["location"]
    return post(client, f"{path}/publish", {"filter": document}, match(client.get(path)))


def test_a_rule_that_leads_back_to_itself_is_refused_with_the_way(client: TestClient) -> None:
    tag = a_tag(client, a_group(client).json()["id"], "起点", filter=WOMEN)
    middle = a_segment(client, "中间", filter=naming(tag.json()["id"], kind="tag"))
    end = a_segment(client, "终点", filter=naming(middle.json()["id"], operator="not_in"))

    itself = publish(client, middle, naming(middle.json()["id"]))
    nested = {"combinator": "or", "rules": [WOMEN["rules"][0], naming(end.json()["id"], operator="not_in")]}
    around = publish(client, tag, nested)
    drafted = client.put(f"{tag.headers['location']}/draft", json={"filter": nested}, headers=match(tag))

    assert found(itself) == {("reference_cycle", "/filter/rules/0/segment_ids")}
    assert found(around) == found(drafted) == {("reference_cycle", "/filter/rules/1/rules/0/segment_ids")}
    ids = {"tag": tag.json()["id"], "middle": middle.json()["id"], "end": end.json()["id"]}
    way = "起点({tag}) → 终点({end}) → 中间({middle}) → 起点({tag})".format(**ids)
    assert around.json()["problems"][0]["message_zh"] == f"规则循环引用:{way}"


def test_two_saves_at_once_cannot_close_a_circle_together(client: TestClient) -> None:
    first, second = a_segment(client, "甲"), a_segment(client, "乙")
    saves = [(first, naming(second.json()["id"])), (second, naming(first.json()["id"]))]

    answers = at_once(lambda save: publish(client, *save), saves)

    assert sorted(answer.status_code for answer in answers) == [200, 422]
    (refused,) = (answer for answer in answers if answer.status_code == 422)
    assert found(refused) == {("reference_cycle", "/filter/rules/0/segment_ids")}


def test_a_chain_holds_five_from_whichever_end_it_grows(client: TestClient) -> None:
    chain = [a_segment(client, "第1层")]
    for level in range(2, 6):
        chain.append(a_segment(client, f"第{level}层", filter=naming(chain[-1].json()["id"])))
    below = a_segment(client, "最底层")

    above = post(client, "/v1/segments", {"is_smart": True, "name": "第6层", "filter": naming(chain[-1].json()["id"])})
    under = publish(client, chain[0], naming(below.json()["id"]))
    beside = post(
        client,
        "/v1/segments",
        {"is_smart": True, "name": "旁边", "filter": naming(chain[-2].json()["id"], below.json()["id"])},
    )

    assert [(one.status_code, found(one)) for one in (above, under)] == [
        (422, {("references_too_deep", "/filter/rules/0/segment_ids")})
    ] * 2
    assert beside.status_code == 201


def test_a_rule_may_be_put_on_another_footing_that_was_a_circle_before(client: TestClient) -> None:
    first = a_segment(client, "甲")
    second = a_segment(client, "乙", filter=naming(first.json()["id"]))

    turned = publish(client, second, WOMEN)
    back = publish(client, first, naming(second.json()["id"]))

    assert (turned.status_code, back.status_code) == (200, 200)


def test_disabling_and_naming_at_once_never_leaves_an_enabled_one_without_its_base(client: TestClient) -> None:
    base, user = a_segment(client, "基础"), a_segment(client, "引用者")
    base_path = base.headers["location"]

    def act(what: str) -> Any:
        if what == "disable":
            return post(client, f"{base_path}/disable", headers=match(base))
        return publish(client, user, naming(base.json()["id"]))

    disabled, published = at_once(act, ["disable", "publish"])

    assert (disabled.status_code, published.status_code) in {(200, 422), (409, 200)}
    names_base = client.get(user.headers["location"]).json()["filter"] == naming(base.json()["id"])
    assert client.get(base_path).json()["is_enabled"] is names_base
