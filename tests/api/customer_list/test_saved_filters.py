"""`/v1/customers/filters`: filters kept under a name, for their owner or for everybody, and told when they fail."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from api.storage.tables.customer_list import saved_filter
from tests.api.access.people import audited, once, other, store_of
from tests.api.conftest import MakeClient
from tests.api.filters.documents import Json, all_of, first_visits, is_
from tests.at_once import at_once

FILTERS = "/v1/customers/filters"
NINE = all_of(*(is_("city", "neq", f"城市{number}") for number in range(9)))


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    return make_client(published=True)


def keep(client: TestClient, name: str = "本周初诊", **body: Any) -> Any:
    return client.post(FILTERS, json={"name": name, "advanced": first_visits(), **body}, headers=once())


def edit(client: TestClient, filter_id: str, version: int, headers: dict[str, str] | None = None, **body: Any) -> Any:
    told = {"name": "本周初诊", "advanced": first_visits(), **body}
    return client.put(f"{FILTERS}/{filter_id}", json=told, headers={"If-Match": f'"{version}"', **(headers or {})})


def names(client: TestClient, headers: dict[str, str] | None = None) -> list[str]:
    return [one["name"] for one in client.get(FILTERS, headers=headers).json()["filters"]]


def refused(answer: Any) -> list[tuple[str, str]]:
    return [(one["code"], one["path"]) for one in answer.json()["problems"]]


def test_a_filter_is_kept_as_it_was_and_found_again(client: TestClient) -> None:
    made = keep(client, filter={"channel": "patient"})

    assert made.status_code == 201
    read = client.get(made.headers["Location"])
    assert read.json() == made.json()
    assert read.headers["ETag"] == made.headers["ETag"] == '"1"'
    assert read.json()["filter"] == {"channel": "patient"}
    assert read.json()["advanced"] == first_visits()
    assert (read.json()["status"], read.json()["problems"], read.json()["mine"]) == ("valid", [], True)
    searched = client.post("/v1/customers/search", json={one: read.json()[one] for one in ("filter", "advanced")})
    assert searched.status_code == 200


def test_others_see_what_is_shared_and_nothing_else(client: TestClient) -> None:
    keep(client, "甲", shared=True)
    private = keep(client, "乙").json()
    headers = other(client, permissions=("customer.view",))

    assert names(client) == ["乙", "甲"]
    assert names(client, headers) == ["甲"]
    assert client.get(f"{FILTERS}/{private['id']}", headers=headers).status_code == 404


def test_only_its_owner_changes_a_shared_filter(client: TestClient) -> None:
    made = keep(client, shared=True).json()
    headers = other(client)

    edited = edit(client, made["id"], 1, headers, name="我的")
    deleted = client.delete(f"{FILTERS}/{made['id']}", headers={**headers, "If-Match": '"1"'})

    assert (edited.status_code, deleted.status_code) == (404, 404)
    assert names(client) == ["本周初诊"]


def test_an_edit_names_the_version_that_was_read(client: TestClient) -> None:
    made = keep(client).json()

    first = edit(client, made["id"], 1, name="初诊", shared=True)
    second = edit(client, made["id"], 1, name="复诊")
    blind = client.delete(f"{FILTERS}/{made['id']}")
    gone = client.delete(f"{FILTERS}/{made['id']}", headers={"If-Match": first.headers["ETag"]})

    assert (first.status_code, first.json()["name"], first.json()["version"]) == (200, "初诊", 2)
    assert (second.status_code, blind.status_code, gone.status_code) == (412, 428, 204)
    assert names(client) == []


def test_a_name_is_used_once_by_each(client: TestClient) -> None:
    keep(client, "甲")
    other_one = keep(client, "乙").json()

    assert refused(keep(client, "甲")) == [("name_taken", "/name")]
    assert refused(edit(client, other_one["id"], 1, name="甲")) == [("name_taken", "/name")]
    assert client.post(FILTERS, json={"name": "甲"}, headers={**once(), **other(client)}).status_code == 201


def test_one_effect_per_key(client: TestClient) -> None:
    body, headers = {"name": "甲"}, once("same")

    first, second = (client.post(FILTERS, json=body, headers=headers) for _ in range(2))

    assert first.json() == second.json()
    assert second.headers["Idempotency-Replayed"] == "true"
    assert names(client) == ["甲"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"name": "二十一个字" * 4 + "长"}, [("string_too_long", "/name")]),
        ({"advanced": NINE}, [("too_many_conditions", "/advanced")]),
        ({"filter": {"phone": "13812345678"}}, [("identifying_value", "/filter/phone")]),
        (
            {"advanced": all_of(is_("phone", "eq", "13812345678"), is_("phone", "is_set"))},
            [("identifying_value", "/advanced/rules/0/value")],
        ),
        (
            {"filter": {"id_number": "440301199001011234"}, "advanced": all_of(is_("shoe", "is_set"))},
            [("unknown_field", "/advanced/rules/0/field"), ("identifying_value", "/filter/id_number")],
        ),
    ],
)
def test_what_cannot_be_kept_is_refused(client: TestClient, body: Json, expected: list[tuple[str, str]]) -> None:
    answer = keep(client, **body)

    assert (answer.status_code, refused(answer)) == (422, expected)


def test_a_filter_whose_field_is_gone_says_so_and_the_others_stay(client: TestClient) -> None:
    keep(client, "旧", shared=True)
    keep(client, "新")
    gone = {"filter": {}, "advanced": all_of(is_("shoe_size", "eq", 43))}
    store_of(client).write(
        lambda connection: connection.execute(
            update(saved_filter).where(saved_filter.c.name == "旧").values(document=gone)
        )
    )

    listed = {one["name"]: one for one in client.get(FILTERS).json()["filters"]}
    theirs = client.get(FILTERS, headers=other(client)).json()["filters"][0]

    assert (listed["旧"]["status"], listed["新"]["status"]) == ("invalid", "valid")
    assert [one["path"] for one in listed["旧"]["problems"]] == ["/advanced/rules/0/field"]
    assert listed["旧"]["advanced"] == gone["advanced"]
    assert (theirs["status"], theirs["advanced"]) == ("invalid", None)


def test_names_in_a_shared_filter_are_told_to_nobody_who_sees_names_masked(client: TestClient) -> None:
    keep(client, "姓王", shared=True, filter={"name": "王"}, advanced=None)
    marketer = other(client, permissions=("customer.view",))

    seen, masked = (client.get(FILTERS, headers=headers).json()["filters"][0] for headers in (other(client), marketer))

    assert (seen["status"], seen["filter"]) == ("valid", {"name": "王"})
    assert (masked["status"], masked["filter"], masked["advanced"]) == ("invalid", None, None)
    assert masked["problems"][0]["code"] == "masked_field"
    assert keep_as(client, marketer, filter={"name": "王"}).status_code == 403


def keep_as(client: TestClient, headers: dict[str, str], **body: Any) -> Any:
    return client.post(FILTERS, json={"name": "姓王", **body}, headers={**once(), **headers})


def test_nobody_keeps_more_than_a_hundred(client: TestClient) -> None:
    made = keep(client, "甲").json()

    def fill(connection: Any) -> None:
        row = dict(connection.execute(select(saved_filter)).mappings().one())
        rows = [{**row, "id": f"sf_{number}", "name": f"第{number}"} for number in range(99)]
        connection.execute(saved_filter.insert(), rows)

    store_of(client).write(fill)

    assert refused(keep(client, "乙")) == [("too_many_saved_filters", "")]
    assert edit(client, made["id"], 1, name="丙").status_code == 200


def test_the_audit_log_names_the_filter_and_none_of_its_values(client: TestClient) -> None:
    made = keep(client, "姓王", filter={"name": "王老五"}).json()
    edit(client, made["id"], 1, name="姓李", filter={"name": "李"})
    client.delete(f"{FILTERS}/{made['id']}", headers={"If-Match": '"2"'})

    rows = [row for row in audited(client) if row["target_kind"] == "saved_filter"]

    assert [row["action"] for row in rows] == ["saved_filter.create", "saved_filter.edit", "saved_filter.delete"]
    assert rows[1]["before"] == {"name": "姓王", "shared": False}
    assert rows[1]["after"] == {"name": "姓李", "shared": False}
    assert "王老五" not in str(rows)


def test_two_who_keep_the_hundredth_at_once_do_not_keep_a_hundred_and_one(client: TestClient) -> None:
    made = keep(client, "甲").json()

    def fill(connection: Any) -> None:
        row = dict(connection.execute(select(saved_filter)).mappings().one())
        rows = [{**row, "id": f"sf_{number}", "name": f"第{number}"} for number in range(98)]
        connection.execute(saved_filter.insert(), rows)

    store_of(client).write(fill)

    answers = at_once(lambda name: keep(client, name), [f"第{number}个" for number in range(8)])

    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 7]
    assert len(names(client)) == 100
    assert made["name"] in names(client)


def test_names_stay_different_while_filters_are_renamed_at_once(client: TestClient) -> None:
    ids = [keep(client, f"第{number}").json()["id"] for number in range(8)]

    answers = at_once(lambda one: edit(client, one, 1, name="同名"), ids)

    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 7]
    assert names(client).count("同名") == 1


def test_a_repeated_request_is_answered_as_before_although_its_segment_is_gone(client: TestClient) -> None:
    made = client.post("/v1/segments", json={"is_smart": False, "name": "手工"}, headers=once())
    segment = {"kind": "segment", "operator": "in", "segment_ids": [made.json()["id"]]}
    body, headers = {"name": "甲", "advanced": all_of(segment)}, once("same")
    first = client.post(FILTERS, json=body, headers=headers)
    client.delete(made.headers["location"], headers={"If-Match": made.headers["etag"]})

    second = client.post(FILTERS, json=body, headers=headers)

    assert (first.status_code, second.status_code) == (201, 201)
    assert (second.json(), second.headers["Idempotency-Replayed"]) == (first.json(), "true")
