"""`/v1/filters/description` and `/v1/filters/conversion`: a filter in words, and in another form."""

from typing import Any

from fastapi.testclient import TestClient

from tests.api.conftest import MakeClient
from tests.api.filters.documents import Json, all_of, any_of, first_visits, is_


def describe(client: TestClient, document: Json, **more: Any) -> Any:
    return client.post("/v1/filters/description", json={"filter": document, **more})


def convert(client: TestClient, to: str, document: Json) -> Any:
    return client.post("/v1/filters/conversion", json={"to": to, "document": document})


def test_a_filter_is_told_in_both_languages_with_what_it_depends_on(client: TestClient) -> None:
    answer = describe(client, first_visits()).json()

    assert answer["sentence"]["zh"].startswith("有过 预约(满足:实际到店时间 在过去7天之内(2026-11-14 至 2026-11-20)")
    assert "Visit type is 初诊" in answer["sentence"]["en"]
    assert answer["warnings"] == []
    assert answer["depends_on"] == {
        "fields": ["appointment.arrived_at", "appointment.visit_type"],
        "sources": ["appointment"],
        "tags": [],
        "segments": [],
    }


def test_filters_of_one_meaning_have_one_fingerprint(client: TestClient) -> None:
    woman, city = is_("gender", "eq", "女"), is_("city", "eq", "上海市")

    prints = [describe(client, one).json()["fingerprint"] for one in (all_of(woman, city), all_of(city, all_of(woman)))]
    other = describe(client, any_of(woman, city)).json()["fingerprint"]

    assert prints[0] == prints[1] != other


def test_what_is_odd_is_told_at_its_place(client: TestClient) -> None:
    woman, man = is_("gender", "eq", "女"), is_("gender", "eq", "男")

    warnings = describe(client, all_of(woman, man)).json()["warnings"]

    assert {(one["code"], one["path"]) for one in warnings} == {
        ("always_empty", "/filter"),
        ("contradiction", "/filter/rules/1"),
    }


def test_a_masked_field_is_not_described(make_client: MakeClient) -> None:
    client = make_client(published=True, permissions=("customer.view",))

    assert describe(client, all_of(is_("patient_remark", "contains", "种植"))).status_code == 403


def test_a_filter_comes_back_from_the_editor_as_it_went(client: TestClient) -> None:
    query = convert(client, "react-querybuilder", first_visits()).json()["document"]

    assert query["rules"][0]["match"] == {"mode": "atLeast", "threshold": 1}
    assert convert(client, "filter", query).json()["document"] == first_visits()


def test_what_cannot_be_converted_is_told_at_its_place(client: TestClient) -> None:
    unknown = {"combinator": "and", "rules": [{"field": "shoe_size", "operator": "=", "value": 43}]}

    there, back = convert(client, "filter", unknown), convert(client, "react-querybuilder", {"rules": 1})

    assert there.status_code == back.status_code == 422
    assert [one["path"] for one in there.json()["problems"]] == ["/document/rules/0/field"]
    assert "/document/combinator" in {one["path"] for one in back.json()["problems"]}
