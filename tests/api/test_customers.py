"""The customer list over a published version."""

import base64
import json
import re
from pathlib import Path

import duckdb
import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from api.settings import ApiSettings
from api.storage.database import Database
from api.storage.schema import upgrade
from pipelines.settings import PipelineSettings
from segment_engine.runtime.published import read_pointer
from tests.api.conftest import MakeClient, bearer, make_actor


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    return make_client(published=True)


def cursor(*values: object) -> str:
    """A cursor as the API writes them, with anything in it."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def walk(client: TestClient, **query: str | int) -> list[dict[str, object]]:
    customers: list[dict[str, object]] = []
    cursor = None
    while True:
        page = client.get("/v1/customers", params=query | ({"cursor": cursor} if cursor else {})).json()
        customers += page["customers"]
        cursor = page["next_cursor"]
        if cursor is None:
            return customers


def test_pages_together_hold_every_customer_once(client: TestClient, published_version: Path) -> None:
    with duckdb.connect(str(published_version), read_only=True) as con:
        expected = {row[0] for row in con.execute("select one_id from marts.dim_customer").fetchall()}

    customers = walk(client, limit=97)

    assert len(customers) == len(expected)
    assert {customer["one_id"] for customer in customers} == expected


def test_newest_customers_come_first(client: TestClient) -> None:
    created = [customer["created_at"] for customer in client.get("/v1/customers?limit=200").json()["customers"]]

    assert len(created) == 200
    assert created == sorted(created, reverse=True)


def test_phones_are_masked_for_a_marketer(make_client: MakeClient) -> None:
    client = make_client(published=True, permissions=("customer.view",))
    phones = [customer["phone"] for customer in walk(client, limit=200) if customer["phone"]]

    assert phones
    assert all(re.search(r"\*{4}", str(phone)) for phone in phones)


def test_phones_that_are_no_numbers_show_two_characters_at_most(own_copy: PipelineSettings) -> None:
    store = Database(ApiSettings(data_dir=own_copy.data_dir))
    upgrade(store)
    key = make_actor(store, permissions=("customer.view",))
    store.close()
    written = ["13812340001/13912340002", "手机13812340001妈妈", "0755-26543210", "1381234", "妈妈"]
    with duckdb.connect(str(own_copy.folders.published / read_pointer(own_copy.folders).file)) as con:
        con.execute("update marts.dim_customer set phone = ($1::varchar[])[1 + customer_key % len($1)]", [written])

    with TestClient(create_app(ApiSettings(data_dir=own_copy.data_dir)), headers=bearer(key)) as client:
        phones = {customer["phone"] for customer in walk(client, limit=200)}

    assert phones == {"****02", "****妈妈", "****10", "****34", "****"}


def test_channel_keeps_only_customers_known_through_it(client: TestClient) -> None:
    leads = walk(client, limit=200, channel="lead")
    everyone = walk(client, limit=200)

    assert leads
    assert all("lead" in customer["channels"] for customer in leads)  # type: ignore[operator]
    assert len(leads) == sum("lead" in customer["channels"] for customer in everyone)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("query", "path", "code"),
    [
        ("limit=0", "/query/limit", "greater_than_equal"),
        ("limit=201", "/query/limit", "less_than_equal"),
        ("limit=9223372036854775808", "/query/limit", "less_than_equal"),
        ("limit=many", "/query/limit", "int_parsing"),
        ("cursor=nonsense", "/query/cursor", "invalid_cursor"),
        (f"cursor={cursor('created_at', '2026-01-01T00:00:00+00:00', True)}", "/query/cursor", "invalid_cursor"),
        (f"cursor={cursor('created_at', '2026-01-01T00:00:00', 1)}", "/query/cursor", "invalid_cursor"),
        (f"cursor={cursor('created_at', 7, 1)}", "/query/cursor", "invalid_cursor"),
        (f"cursor={cursor('name', '唐三', 1)}", "/query/cursor", "invalid_cursor"),
        (f"sort=name&cursor={cursor('name', [], 1)}", "/query/cursor", "invalid_cursor"),
        (f"sort=name&cursor={cursor('name', chr(0xD800), 1)}", "/query/cursor", "invalid_cursor"),
        ("sort=phone", "/query/sort", "enum"),
        ("phone=abc", "/query/phone", "not_a_phone"),
        ("phone=%2B", "/query/phone", "string_too_short"),
        ("name=", "/query/name", "string_too_short"),
        ("nickname=%20", "/query/nickname", "string_too_short"),
        ("clinic=1", "/query/clinic", "extra_forbidden"),
        ("channel=fax", "/query/channel", "enum"),
        ("clinic_id=" + "x" * 65, "/query/clinic_id", "string_too_long"),
    ],
)
def test_a_wrong_query_is_refused_with_its_place(client: TestClient, query: str, path: str, code: str) -> None:
    answer = client.get(f"/v1/customers?{query}")

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [(problem["path"], problem["code"]) for problem in answer.json()["problems"]] == [(path, code)]
    assert all(problem["message_zh"] and problem["message_en"] for problem in answer.json()["problems"])


def test_all_problems_of_a_query_are_told_at_once(client: TestClient) -> None:
    problems = client.get("/v1/customers?limit=0&channel=fax&colour=red").json()["problems"]

    assert {problem["path"] for problem in problems} == {"/query/limit", "/query/channel", "/query/colour"}


def test_an_unknown_path_is_a_problem_document(client: TestClient) -> None:
    answer = client.get("/v1/nothing")

    assert answer.status_code == 404
    assert answer.json()["problems"][0]["code"] == "not_found"


def test_before_the_first_night_the_answer_is_503_and_says_what_to_do(make_client: MakeClient) -> None:
    client = make_client()

    answers = [client.get("/v1/customers"), client.get("/readyz")]

    assert [answer.status_code for answer in answers] == [503, 503]
    assert all(answer.json()["problems"][0]["code"] == "nothing_published" for answer in answers)
    assert client.get("/healthz").json() == {"status": "ok"}


def test_readyz_names_version_and_age(client: TestClient) -> None:
    answer = client.get("/readyz").json()

    assert answer["version"] == "20261120-01"
    assert answer["as_of"] == "2026-11-20"
    assert isinstance(answer["age_seconds"], int)
    assert answer["rows"]["marts.dim_customer"] > 0


def test_metrics_count_requests_by_route(client: TestClient) -> None:
    client.get("/v1/customers?limit=1")

    text = client.get("/metrics").text

    assert 'cdp_http_requests_total{method="GET",route="/v1/customers",status="200"} 1.0' in text
    assert "cdp_published_age_seconds" in text
    assert 'cdp_published_rows{table="marts.dim_customer"}' in text


def test_the_contract_of_the_api_is_published(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]

    outside = {path for path in paths if not path.startswith("/v1/")}
    assert outside == {"/healthz", "/readyz", "/metrics"}
