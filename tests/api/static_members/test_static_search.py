"""选择全部: what the customer list shows, selected with the search that shows it, on both stores."""

from datetime import timedelta
from typing import Any

import duckdb
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, update

from api.access.permissions import Permission
from api.background import JOB_KINDS
from api.clock import now
from api.jobs.context import Services
from api.jobs.worker import Worker
from api.storage.tables.access import role
from api.storage.tables.clinics import clinic_service
from tests.api.access.people import other, store_of
from tests.api.filters.documents import all_of, is_
from tests.api.probe import found
from tests.api.static_members.static import EVERYBODY, OF_CLINIC, TAGS, customers, job_of, make, members, post
from tests.api.static_members.test_static_routes import also_at

BULK = "/v1/customers/bulk"
WOMEN = all_of(is_("gender", "eq", "女"))
SEES_PHONES = (*TAGS, Permission.CUSTOMER_PHONE_VIEW)


def place(tag: int) -> str:
    return f"/v1/tags/{tag}/members"


def listed(client: TestClient, headers: dict[str, str] | None = None, **search: Any) -> list[str]:
    """Everybody whom the list shows for a search, sorted."""
    ids: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        body = {**search, **cursor, "limit": 200, "columns": ["city"]}
        page = client.post("/v1/customers/search", json=body, headers=headers).json()
        ids += [one["one_id"] for one in page["customers"]]
        if page["next_cursor"] is None:
            return sorted(ids)
        cursor = {"cursor": page["next_cursor"]}


def run_one_job(client: TestClient) -> None:
    state = client.app.state  # type: ignore[attr-defined]
    services = Services(state.database, state.settings, state.reader, now, state.filters)
    assert Worker(JOB_KINDS, services, name="test", lease=timedelta(seconds=60)).step()


def test_exactly_whom_the_list_shows_are_put_in_and_taken_out(client: TestClient) -> None:
    database, some = store_of(client), customers(client, 150, channel="lead")
    marked, segment = make(database), make(database, "segment")
    post(client, place(marked), one_ids=some)
    post(client, f"/v1/segments/{segment}/members", one_ids=some[50:])
    searches: list[dict[str, Any]] = [
        {},
        {"filter": {"channel": "lead"}},
        {"advanced": WOMEN},
        {"tag_ids": [marked], "segment_ids": [segment]},
        {"filter": {"channel": "lead", "name": "王"}, "advanced": {**WOMEN, "not": True}, "tag_ids": [marked]},
    ]

    for search in searches:
        tag, shown = make(database), listed(client, **search)
        job = job_of(client, post(client, BULK, action="add_tag", target=tag, selection={"search": search}))
        put_in = members(database, tag)
        undone = job_of(client, post(client, f"{place(tag)}/remove", search=search))

        assert put_in == shown != []
        assert job["result"] == {"added": len(shown), "already_in": 0, "not_seen": 0}
        assert undone["result"] == {"removed": len(shown), "not_in": 0, "not_seen": 0}


def test_a_message_task_takes_a_search_too(client: TestClient) -> None:
    shown = listed(client, filter={"channel": "lead"}, advanced=WOMEN)
    selection = {"search": {"filter": {"channel": "lead"}, "advanced": WOMEN}}

    task = {"name": "国庆关怀", "text": "祝您节日快乐"}
    job = job_of(client, post(client, BULK, action="message_task", target=task, selection=selection))

    assert job["result"]["no_consent"] == len(shown) > 0


def test_a_clinic_selects_what_its_own_list_shows(client: TestClient, clinic_pair: Any) -> None:
    clinic, own, foreign = clinic_pair
    tag = make(store_of(client))
    headers = other(client, permissions=TAGS, clinic_id=clinic, data_scope=OF_CLINIC)
    shown = listed(client, headers)

    job_of(client, post(client, place(tag), headers, search={}), headers)

    assert members(store_of(client), tag) == shown
    assert own in shown
    assert foreign not in shown


def test_of_those_who_are_shown_only_those_whom_the_caller_may_tag_are_tagged(
    client: TestClient, clinic_pair: Any, version: duckdb.DuckDBPyConnection
) -> None:
    clinic, own, foreign = clinic_pair
    tag, headers = make(store_of(client)), other(client, permissions=(Permission.CUSTOMER_VIEW,))
    also_at(client, headers, clinic, Permission.CUSTOMER_TAG)

    job_of(client, post(client, place(tag), headers, search={}), headers)

    query = "select one_id from dim_customer where list_contains(clinic_ids, ?) order by 1"
    expected = [one for (one,) in version.execute(query, [clinic]).fetchall()]
    assert members(store_of(client), tag) == expected
    assert {own, foreign} <= set(listed(client, headers))


def test_what_is_seen_masked_selects_nobody_and_every_place_is_told(idle: TestClient) -> None:
    tag = make(store_of(idle))
    headers = other(idle, permissions=TAGS)
    search = {"filter": {"name": "王", "phone": "13800000001"}, "advanced": all_of(is_("phone", "is_set"))}

    direct = post(idle, place(tag), headers, search=search)
    listed = post(idle, BULK, headers, action="add_tag", target=tag, selection={"search": search})

    places = ["/search/filter/name", "/search/filter/phone", "/search/advanced/rules/0/field"]
    assert (direct.status_code, listed.status_code) == (403, 403)
    assert found(direct) == {("masked_field", path) for path in places}
    assert found(listed) == {("masked_field", f"/selection{path}") for path in places}


def test_a_search_finds_by_a_masked_field_only_whose_own_value_is_seen(client: TestClient, clinic_pair: Any) -> None:
    clinic, _, foreign = clinic_pair
    tag, headers = make(store_of(client)), other(client, permissions=TAGS)
    also_at(client, headers, clinic, Permission.CUSTOMER_PHONE_VIEW)
    search = {"advanced": all_of(is_("phone", "is_set"))}
    shown = listed(client, headers, **search)

    job_of(client, post(client, place(tag), headers, search=search), headers)

    assert members(store_of(client), tag) == shown != []
    assert foreign not in shown


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({"search": {}, "filter": EVERYBODY}, {("one_of", "")}),
        ({"search": {"sort": "name"}}, {("extra_forbidden", "/search/sort")}),
        (
            {"search": {"filter": {"phone": "abc"}, "segment_ids": [4], "advanced": all_of(is_("shoe", "eq", 43))}},
            {
                ("not_a_phone", "/search/filter/phone"),
                ("unknown_segment", "/search/segment_ids/0"),
                ("unknown_field", "/search/advanced/rules/0/field"),
            },
        ),
        (
            {"search": {"advanced": all_of(*[is_("city", "neq", f"城市{number}") for number in range(9)])}},
            {("too_many_conditions", "/search/advanced")},
        ),
    ],
    ids=["two forms", "order", "senseless", "nine conditions"],
)
def test_what_is_no_search_is_refused_at_its_place(idle: TestClient, body: Any, problems: set[Any]) -> None:
    answer = post(idle, place(make(store_of(idle))), **body)

    assert answer.status_code == 422
    assert found(answer) == problems


def test_what_counts_is_what_the_requester_sees_when_the_job_runs(idle: TestClient) -> None:
    database = store_of(idle)
    tag, headers = make(database), other(idle, permissions=SEES_PHONES)
    asked = post(idle, place(tag), headers, search={"filter": {"phone": "13800000001"}})
    fewer = update(role).where(role.c.permissions == [*SEES_PHONES]).values(permissions=[*TAGS])
    database.write(lambda connection: connection.execute(fewer))

    run_one_job(idle)

    job = idle.get(asked.headers["location"], headers=headers).json()
    assert job["status"] == "failed"
    assert [(one["code"], one["path"]) for one in job["problems"]] == [("masked_field", "/search/filter/phone")]


def test_a_clinic_that_is_left_out_leaves_filters_and_stays_in_the_plain_list(
    client: TestClient, version: duckdb.DuckDBPyConnection, clinic_pair: Any
) -> None:
    database, (clinic, _, _) = store_of(client), clinic_pair
    only_there = "select one_id from dim_customer where clinic_ids = [?]"
    theirs = {one for (one,) in version.execute(only_there, [clinic]).fetchall()}
    row = {"clinic_id": clinic, "status": "ended", "since": now().date().replace(year=2020), "version": 1}
    changed = {"changed_by": "staff:1", "changed_at": now()}
    database.write(lambda connection: connection.execute(insert(clinic_service).values(**row, **changed)))
    plain, searched, filtered = make(database), make(database), make(database)

    job_of(client, post(client, place(plain), search={}))
    job_of(client, post(client, place(searched), search={"advanced": EVERYBODY}))
    job_of(client, post(client, place(filtered), filter=EVERYBODY))

    assert theirs <= set(members(database, plain)) == set(listed(client))
    assert members(database, searched) == members(database, filtered) == listed(client, advanced=EVERYBODY)
    assert theirs.isdisjoint(members(database, filtered))
    assert theirs
