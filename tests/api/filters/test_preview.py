"""`/v1/filters/preview`: how many of the caller's customers, exactly those whom SQL finds, and nobody's secrets."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest
from fastapi.testclient import TestClient

from api.access.actors import Level, ScopeChannel
from api.clock import now
from api.filters.evaluator import FilterEvaluator
from api.main import create_app
from api.settings import ApiSettings
from api.storage.database import Database
from api.storage.schema import upgrade
from api.storage.tables.access import role
from api.storage.tables.customers import erasure_request
from pipelines.settings import PipelineSettings
from segment_engine.runtime.published import POINTER_NAME, read_pointer
from segment_engine.tree import AudienceKind
from tests.api.access.people import give, store_of
from tests.api.conftest import MakeClient, bearer, make_actor
from tests.api.filters.conftest import Rows
from tests.api.filters.documents import Json, Tags, all_of, any_of, first_visits, is_, tagged

CLINIC = dict.fromkeys(ScopeChannel, Level.CLINIC)
SEES = ("customer.view",)
NAMES = ("customer.view", "customer.name.view")


def preview(client: TestClient, document: Json, **more: Any) -> Any:
    return client.post("/v1/filters/preview", json={"filter": document, **more})


def count(client: TestClient, document: Json, **more: Any) -> int:
    answer = preview(client, document, **more)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["count"])


def refused(answer: Any) -> list[tuple[str, str]]:
    return [(one["code"], one["path"]) for one in answer.json()["problems"]]


def evaluator(client: TestClient) -> FilterEvaluator:
    filters: FilterEvaluator = client.app.state.filters  # type: ignore[attr-defined]
    return filters


def test_the_example_of_the_product_document_counts_as_its_sql(
    client: TestClient, version: duckdb.DuckDBPyConnection
) -> None:
    (expected,) = version.execute("""
        select count(distinct customer_key)
        from marts.fct_appointment
        where
            visit_type = '初诊'
            and (arrived_at at time zone 'Asia/Shanghai')::date between '2026-11-14' and '2026-11-20'
    """).fetchall()[0]

    answer = preview(client, first_visits()).json()

    assert answer["count"] == expected > 0
    assert answer["as_of"] == "2026-11-20"
    assert answer["branches"][0]["path"] == "/filter/rules/0"
    assert "过去7天之内(2026-11-14 至 2026-11-20)" in answer["branches"][0]["sentence"]["zh"]
    assert [answer["branches"][0]["count"]] == [expected]


def test_the_sample_shows_customers_of_the_filter_and_the_same_ones_again(client: TestClient, rows: Rows) -> None:
    women = {row["one_id"] for row in rows if row["gender"] == "女"}

    first = preview(client, all_of(is_("gender", "eq", "女")), sample=7).json()
    second = preview(client, all_of(is_("gender", "eq", "女")), sample=7).json()

    shown = [customer["one_id"] for customer in first["customers"]]
    assert len(shown) == 7
    assert set(shown) <= women
    assert first["customers"] == second["customers"]
    assert (first["remembered"], second["remembered"]) == (0, 1)


def test_a_marketer_sees_the_sample_masked(make_client: MakeClient) -> None:
    client = make_client(published=True, permissions=SEES)

    shown = preview(client, all_of(is_("phone", "is_set"), {"kind": "everyone"})).status_code
    sample = preview(client, all_of({"kind": "everyone"}), sample=50).json()["customers"]

    assert shown == 403
    assert [one for one in sample if one["name"] and "*" not in one["name"]] == []
    assert [one for one in sample if one["phone"] and "****" not in one["phone"]] == []
    assert {one["patient_remark"] for one in sample} == {one["avatar_url"] for one in sample} == {None}


def test_counts_samples_and_branches_hold_only_the_callers_customers(
    make_client: MakeClient, rows: Rows, clinic: str
) -> None:
    client = make_client(published=True, permissions=SEES, clinic_id=clinic, data_scope=CLINIC)
    mine = {row["one_id"]: row for row in rows if clinic in row["clinic_ids"]}
    women = [one for one, row in mine.items() if row["gender"] == "女"]

    answer = preview(client, any_of(is_("gender", "eq", "女"), {"kind": "everyone"}), sample=50).json()

    assert answer["count"] == len(mine) < len(rows)
    assert [branch["count"] for branch in answer["branches"]] == [len(women), len(mine)]
    assert {customer["one_id"] for customer in answer["customers"]} <= mine.keys()


def test_what_is_not_done_is_not_done_by_the_callers_customers(
    make_client: MakeClient, rows: Rows, clinic: str
) -> None:
    client = make_client(published=True, permissions=SEES, clinic_id=clinic, data_scope=CLINIC)
    never = {"kind": "activity", "source": "appointment", "occurrence": "did_not"}

    together = count(client, all_of(never)) + count(client, {**all_of(never), "not": True})

    assert together == sum(clinic in row["clinic_ids"] for row in rows)


def test_nobody_s_data_permission_counts_nobody(make_client: MakeClient) -> None:
    client = make_client(published=True, data_scope=dict.fromkeys(ScopeChannel, Level.NONE))

    assert count(client, all_of({"kind": "everyone"})) == 0


def test_a_masked_field_is_refused_beside_everything_else_that_is_wrong(make_client: MakeClient) -> None:
    client = make_client(published=True, permissions=SEES)

    only = preview(client, all_of(is_("name", "starts_with", "王")))
    beside = preview(client, all_of(is_("phone", "eq", "13812345678"), is_("gender", "eq", "猫"), tagged(9)))

    assert (only.status_code, refused(only)) == (403, [("masked_field", "/filter/rules/0/field")])
    assert beside.status_code == 422
    assert refused(beside) == [
        ("masked_field", "/filter/rules/0/field"),
        ("unknown_option", "/filter/rules/1/value"),
        ("unknown_tag", "/filter/rules/2/tag_ids"),
    ]


def test_texts_of_rows_that_may_hold_anything_are_masked_fields_too(make_client: MakeClient) -> None:
    client = make_client(published=True, permissions=NAMES)
    spoken = {"field": "content", "operator": "contains", "value": "种植"}
    follow_up = {"kind": "activity", "source": "follow_up", "occurrence": "did", "where": all_of(spoken)}

    answer = preview(client, all_of(follow_up))

    assert (answer.status_code, refused(answer)) == (
        403,
        [("masked_field", "/filter/rules/0/where/rules/0/field")],
    )


def test_what_takes_too_long_is_stopped_and_told(client: TestClient) -> None:
    evaluator(client).seconds = 0

    answer = preview(client, first_visits())

    assert (answer.status_code, refused(answer)) == (422, [("query_timeout", "/filter")])


def test_a_filter_on_names_finds_only_customers_whose_names_the_caller_sees(
    make_client: MakeClient, rows: Rows, clinic: str
) -> None:
    """Of all customers, and of their names only those of one clinic: whichever way the filter is turned."""
    client = make_client(published=True, permissions=SEES)
    headers = {"Authorization": str(client.headers["Authorization"])}
    add_role(client, "names", NAMES, {channel.value: "clinic" for channel in ScopeChannel})
    give(client, headers, "names", clinic)
    mine = [row for row in rows if clinic in row["clinic_ids"]]
    wangs = [row for row in mine if (row["name"] or "").startswith("王")]
    wang = is_("name", "starts_with", "王")

    assert count(client, all_of({"kind": "everyone"})) == len(rows)
    assert count(client, all_of(wang)) == len(wangs) > 0
    assert count(client, {**all_of(wang), "not": True}) == len(mine) - len(wangs)
    assert count(client, any_of(wang, {"kind": "everyone"})) == len(mine)


def add_role(client: TestClient, name: str, permissions: tuple[str, ...], scope: dict[str, str]) -> None:
    stamps = {"version": 1, "created_at": now(), "updated_at": now()}
    values = {
        "id": name, "name_zh": name, "name_en": name, "is_builtin": False, "permissions": list(permissions),
        "data_scope": scope, **stamps,
    }  # fmt: skip
    store_of(client).write(lambda connection: connection.execute(role.insert().values(values)))


def test_whoever_is_to_be_forgotten_is_counted_no_more(client: TestClient, rows: Rows) -> None:
    everyone = all_of({"kind": "everyone"})
    before = count(client, everyone)
    row = {
        "id": "era_1", "one_id": rows[0]["one_id"], "status": "requested", "reason": "test", "requested_by": "test",
        "requested_at": datetime(2026, 11, 21, tzinfo=UTC),
    }  # fmt: skip
    store_of(client).write(lambda connection: connection.execute(erasure_request.insert().values(row)))

    assert count(client, everyone) == before - 1


def test_a_day_in_the_past_is_asked_as_it_was(client: TestClient, version: duckdb.DuckDBPyConnection) -> None:
    (expected,) = version.execute("""
        select count(distinct customer_key)
        from marts.fct_appointment
        where
            visit_type = '初诊'
            and (arrived_at at time zone 'Asia/Shanghai')::date between '2026-11-03' and '2026-11-09'
    """).fetchall()[0]

    assert count(client, first_visits(), as_of="2026-11-09") == expected
    assert refused(preview(client, first_visits(), as_of="2026-11-21")) == [("as_of_not_published", "/as_of")]


def test_tags_are_asked_of_their_directory_and_of_the_day(client: TestClient, rows: Rows) -> None:
    keys = sorted(row["customer_key"] for row in rows)[:5]
    tags = Tags({(AudienceKind.TAG, 4): keys, (AudienceKind.TAG, 5): keys[3:]})
    evaluator(client).audiences = tags

    both = count(client, all_of(tagged(4), tagged(5)))
    neither = count(client, all_of({**tagged(4, 5), "operator": "not_in"}))
    earlier = preview(client, all_of(tagged(4)), as_of="2026-11-19")

    assert (both, neither) == (2, len(rows) - 5)
    assert set(tags.asked) == {None}
    # One night is no history.
    assert refused(earlier) == [("before_history", "/filter/rules/0/kind")]


def test_a_clinic_whose_service_ended_is_left_out_from_that_day_on(client: TestClient, rows: Rows, clinic: str) -> None:
    everyone = all_of({"kind": "everyone"})
    elsewhere = [row for row in rows if set(row["clinic_ids"]) != {clinic}]
    before = count(client, everyone)

    ended = client.put(
        f"/v1/clinics/{clinic}/service", json={"status": "ended", "since": "2026-11-10"}, headers={"If-Match": '"1"'}
    )

    assert ended.status_code == 200
    assert (before, count(client, everyone)) == (len(rows), len(elsewhere))
    gone = next(row["one_id"] for row in rows if set(row["clinic_ids"]) == {clinic})
    told = client.post("/v1/filters/explain", json={"filter": everyone, "one_id": gone})
    assert (told.status_code, refused(told)) == (422, [("of_excluded_clinics", "/one_id")])


@pytest.mark.parametrize(("status", "since"), [("ended", "2026-11-21"), ("initialising", "2026-11-21")])
def test_a_clinic_is_left_out_on_the_day_on_which_the_version_is_served(
    client: TestClient, rows: Rows, clinic: str, status: str, since: str
) -> None:
    elsewhere = [row for row in rows if set(row["clinic_ids"]) != {clinic}]
    place = f"/v1/clinics/{clinic}/service"

    first = client.put(place, json={"status": status, "since": since}, headers={"If-Match": '"1"'})
    today = count(client, all_of({"kind": "everyone"}))
    client.put(place, json={"status": status, "since": "2026-11-22"}, headers={"If-Match": first.headers["etag"]})
    not_yet = count(client, all_of({"kind": "everyone"}))

    assert first.status_code == 200
    assert (today, not_yet) == (len(elsewhere), len(rows))


def test_another_version_is_opened_anew(own_copy: PipelineSettings) -> None:
    settings = ApiSettings(data_dir=own_copy.data_dir)
    database = Database(settings)
    upgrade(database)
    key = make_actor(database)
    database.close()
    women = all_of(is_("gender", "eq", "女"))

    with TestClient(create_app(settings), headers=bearer(key)) as client:
        before = count(client, women)
        publish_without_women(own_copy)
        after = count(client, women)

    assert before > 0
    assert after == 0


def publish_without_women(settings: PipelineSettings) -> None:
    pointer = read_pointer(settings.folders)
    file = settings.folders.published / "marts-next.duckdb"
    shutil.copy(settings.folders.published / pointer.file, file)
    with duckdb.connect(str(file)) as con:
        con.execute("delete from marts.dim_customer where gender = '女'")
        con.execute("drop schema engine cascade")
    next_one = replace(pointer, file=file.name, version="20261120-02", sha256="0" * 64)
    (settings.folders.published / POINTER_NAME).write_text(next_one.to_json())


@pytest.mark.parametrize(
    ("body", "path", "code"),
    [
        ({}, "/filter", "missing"),
        ({"filter": []}, "/filter", "dict_type"),
        ({"filter": {}}, "/filter/combinator", "missing_member"),
        ({"filter": all_of({"kind": "everyone"}), "sample": 51}, "/sample", "less_than_equal"),
        ({"filter": all_of({"kind": "everyone"}), "as_of": "gestern"}, "/as_of", "date_parsing"),
        ({"filter": all_of({"kind": "everyone"}), "limit": 5}, "/limit", "extra_forbidden"),
    ],
)
def test_a_wrong_body_is_refused_with_its_place(client: TestClient, body: Json, path: str, code: str) -> None:
    answer = client.post("/v1/filters/preview", json=body)

    assert answer.status_code == 422
    assert (code, path) in refused(answer)
