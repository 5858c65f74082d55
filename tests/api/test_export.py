"""Exporting customers, from the request to the file."""

import csv
import io
import os
import stat
import time
import urllib.parse
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from fastapi.testclient import TestClient
from openpyxl import load_workbook
from sqlalchemy import select, text, update

from api.access.actors import Level, ScopeChannel
from api.access.permissions import ALL, Permission
from api.clock import now
from api.customers import export
from api.storage.database import Database
from api.storage.tables.access import actor, role
from api.storage.tables.audit import audit_log
from api.storage.tables.jobs import export_file, job
from api.upkeep import sweep
from pipelines.settings import PipelineSettings
from segment_engine.runtime.published import read_pointer
from tests.api.conftest import MakeClient, bearer, make_actor


def ask(client: TestClient, key: str = "export-1", **body: Any) -> Any:
    told = {"kind": "customers", "format": "xlsx", **body}
    return client.post("/v1/exports", json=told, headers={"Idempotency-Key": key})


def finished(client: TestClient, place: str) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found: dict[str, Any] = client.get(place).json()
        if found["status"] not in ("queued", "running"):
            return found
        time.sleep(0.02)
    raise AssertionError(f"{place} did not end")


def exported(client: TestClient, **body: Any) -> tuple[dict[str, Any], bytes]:
    ended = finished(client, ask(client, **body).headers["location"])
    assert ended["status"] == "succeeded", ended
    return ended, client.get(ended["result"]["url"], headers={"Authorization": ""}).content


def sheet(content: bytes) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in load_workbook(io.BytesIO(content)).active.values]  # type: ignore[union-attr]


def listed(client: TestClient, **query: Any) -> list[dict[str, Any]]:
    customers: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get("/v1/customers", params={"limit": 200, **query, **cursor}).json()
        customers += page["customers"]
        if page["next_cursor"] is None:
            return customers
        cursor = {"cursor": page["next_cursor"]}


def store_of(client: TestClient) -> Database:
    database: Database = client.app.state.database  # type: ignore[attr-defined]
    return database


@pytest.mark.parametrize("permissions", [(ALL,), (Permission.CUSTOMER_VIEW, Permission.CUSTOMER_EXPORT)])
def test_the_workbook_holds_the_rows_of_the_list_in_its_order(
    make_client: MakeClient, permissions: tuple[str, ...]
) -> None:
    client = make_client(published=True, permissions=permissions)
    names = ["one_id", "nickname", "name", "phone", "birth_date", "clinic_name", "source_level_1"]

    ended, content = exported(client, columns=names, filter={"channel": "lead"})

    heading, *rows = sheet(content)
    expected = [tuple(customer[name] for name in names) for customer in listed(client, channel="lead")]
    assert heading == ("客户编号", "昵称", "姓名", "手机号码", "生日", "所属机构", "来源一级")
    assert [(*row[:4], row[4] and row[4].date().isoformat(), *row[5:]) for row in rows] == expected
    assert (ended["result"]["rows"], ended["done"], ended["total"]) == (len(expected),) * 3
    assert ("*" in rows[0][2]) is (permissions != (ALL,))


def test_the_file_carries_a_chinese_name_and_is_its_owners_alone(make_client: MakeClient) -> None:
    client = make_client(published=True)

    ended, _ = exported(client, format="csv")
    answer = client.get(ended["result"]["url"])

    name = answer.headers["content-disposition"].split("filename*=UTF-8''")[1]
    assert urllib.parse.unquote(name) == ended["result"]["name"] == "客户列表-20261120.csv"
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert len(list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))) == ended["result"]["rows"] + 1
    folder = client.app.state.settings.folders.exports  # type: ignore[attr-defined]
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_text_that_looks_like_a_formula_stays_text(own_copy: PipelineSettings, make_client: MakeClient) -> None:
    with duckdb.connect(str(own_copy.folders.published / read_pointer(own_copy.folders).file)) as con:
        con.execute("update marts.dim_customer set city = '=1+1'")
    client = make_client()

    _, workbook = exported(client, columns=["city"])
    _, plain = exported(client, key="export-2", columns=["city"], format="csv")

    assert {row[0] for row in sheet(workbook)[1:]} == {"=1+1"}
    cell = load_workbook(io.BytesIO(workbook)).active["A2"]  # type: ignore[index]
    assert cell.data_type == "s"
    assert list(csv.reader(io.StringIO(plain.decode("utf-8-sig"))))[1] == ["'=1+1"]


def test_asking_twice_with_one_key_makes_one_job(make_client: MakeClient) -> None:
    client = make_client(published=True)

    first, second = ask(client), ask(client)

    assert first.status_code == second.status_code == 202
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["idempotency-replayed"] == "true"
    assert [found["id"] for found in client.get("/v1/jobs").json()["jobs"]] == [first.json()["id"]]


def test_request_and_download_are_in_the_audit_log(make_client: MakeClient) -> None:
    client = make_client(published=True)

    ended, _ = exported(client, columns=["one_id"], filter={"channel": "lead"})

    with store_of(client).read() as connection:
        rows = connection.execute(select(audit_log).order_by(audit_log.c.seq)).all()
        token_known = connection.execute(text("select count(*) from job where result like '%/v1/files%'")).scalar()
    assert [(row.action, row.target_kind) for row in rows] == [
        ("export.requested", "job"),
        ("export.downloaded", "export_file"),
    ]
    assert rows[0].after["filter"] == {"channel": "lead"}
    assert rows[0].after["columns"] == ["one_id"]
    assert rows[0].actor_id == rows[1].actor_id
    assert rows[1].address == "testclient"
    assert rows[1].after == {"job_id": ended["id"], "rows": ended["result"]["rows"]}
    assert token_known == 0


def test_a_link_that_expired_or_was_never_given_out_is_unknown(make_client: MakeClient) -> None:
    client = make_client(published=True)
    ended, _ = exported(client, columns=["one_id"])
    url = ended["result"]["url"]

    store_of(client).write(
        lambda connection: connection.execute(update(export_file).values(expires_at=now() - timedelta(seconds=1)))
    )
    answers = [client.get(url), client.get("/v1/files/" + "x" * 43)]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert {answer.json()["problems"][0]["code"] for answer in answers} == {"link_unknown_or_expired"}


def test_the_sweeper_deletes_expired_files_and_what_crashes_left_and_nothing_else(make_client: MakeClient) -> None:
    client = make_client(published=True)
    kept, _ = exported(client, columns=["one_id"])
    expired, _ = exported(client, key="export-2", columns=["one_id"])
    folder: Path = client.app.state.settings.folders.exports  # type: ignore[attr-defined]
    leftover, young = folder / ".a.xlsx.tmp", folder / ".b.xlsx.tmp"
    leftover.touch()
    young.touch()
    os.utime(leftover, (0, 0))
    store_of(client).write(
        lambda connection: connection.execute(
            update(export_file)
            .where(export_file.c.job_id == expired["id"])
            .values(expires_at=now() - timedelta(seconds=1))
        )
    )

    sweep(store_of(client), folder, now=now())
    sweep(store_of(client), folder, now=now())

    assert sorted(file.name.split("-")[0] for file in folder.iterdir()) == sorted([young.name, kept["id"]])
    assert client.get(kept["result"]["url"]).status_code == 200
    with store_of(client).read() as connection:
        row = connection.execute(select(export_file).where(export_file.c.job_id == expired["id"])).one()
    assert row.path is None
    assert abs(row.deleted_at - now()) < timedelta(minutes=1)


def test_a_file_that_was_deleted_before_its_time_is_neither_fetched_nor_kept(make_client: MakeClient) -> None:
    client = make_client(published=True)
    ended, _ = exported(client, columns=["one_id"])
    folder: Path = client.app.state.settings.folders.exports  # type: ignore[attr-defined]

    # As the erasure of a customer does.
    store_of(client).write(lambda connection: connection.execute(update(export_file).values(deleted_at=now())))
    answer = client.get(ended["result"]["url"])
    sweep(store_of(client), folder, now=now())

    assert answer.status_code == 404
    assert list(folder.iterdir()) == []


def test_nobody_exports_without_the_permission(make_client: MakeClient) -> None:
    client = make_client(permissions=(Permission.CUSTOMER_VIEW,))

    answer = ask(client)

    assert answer.status_code == 403
    assert answer.json()["problems"][0]["code"] == "not_permitted"


def test_more_rows_than_allowed_are_refused(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "MAX_ROWS", 10)

    answer = ask(make_client(published=True))

    assert answer.status_code == 422
    assert answer.json()["problems"][0]["code"] == "export_too_large"


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        ({"format": "pdf"}, "literal_error", "/format"),
        ({"columns": ["password"]}, "enum", "/columns/0"),
        ({"columns": []}, "too_short", "/columns"),
        ({"columns": ["city", "city"]}, "repeated_item", "/columns"),
        ({"filter": {"clinic": "1"}}, "extra_forbidden", "/filter/clinic"),
    ],
)
def test_a_wrong_request_is_refused_with_its_place(
    make_client: MakeClient, body: dict[str, Any], code: str, path: str
) -> None:
    answer = ask(make_client(published=True), **body)

    assert answer.status_code == 422
    assert [(problem["code"], problem["path"]) for problem in answer.json()["problems"]] == [(code, path)]


def test_an_export_shows_what_the_requester_may_see_when_it_runs(make_client: MakeClient) -> None:
    client = make_client(published=True, settings={"job_workers": 0})
    place = ask(client, columns=["one_id"]).headers["location"]
    scope = dict.fromkeys(ScopeChannel, Level.NONE) | {ScopeChannel.LEAD: Level.ALL}
    store_of(client).write(lambda connection: connection.execute(update(role).values(data_scope=scope)))

    make_client(published=True)
    ended = finished(client, place)

    assert ended["result"]["rows"] == len(listed(client, channel="lead"))


def test_who_lost_the_permission_meanwhile_gets_no_file(make_client: MakeClient) -> None:
    client = make_client(published=True, settings={"job_workers": 0})
    place = ask(client).headers["location"]
    store_of(client).write(
        lambda connection: connection.execute(update(role).values(permissions=[Permission.CUSTOMER_VIEW]))
    )

    make_client(published=True)

    assert finished(client, place)["problems"][0]["code"] == "not_permitted"


def test_a_link_ends_with_the_permission_of_its_owner(make_client: MakeClient) -> None:
    client = make_client(published=True)
    url = finished(client, ask(client).headers["location"])["result"]["url"]
    assert client.get(url, headers={"Authorization": ""}).status_code == 200

    store_of(client).write(
        lambda connection: connection.execute(update(role).values(permissions=[Permission.CUSTOMER_VIEW]))
    )

    assert client.get(url, headers={"Authorization": ""}).status_code == 404


def test_a_narrower_key_of_the_same_person_does_not_get_what_a_wider_one_exported(make_client: MakeClient) -> None:
    client = make_client(published=True)
    me = client.get("/v1/me").json()["id"]
    key = {"actor_id": me, "name": "narrow", "scopes": ["dashboard.view"], "expires_at": None}
    narrow = client.post("/v1/access/keys", json=key, headers={"Idempotency-Key": "k1"}).json()["key"]
    place = ask(client).headers["location"]
    assert finished(client, place)["status"] == "succeeded"

    assert client.get(place, headers=bearer(narrow)).status_code == 404
    assert client.get("/v1/jobs", headers=bearer(narrow)).json()["jobs"] == []
    assert len(client.get("/v1/jobs").json()["jobs"]) == 1


def test_what_an_export_was_asked_for_is_forgotten_when_it_ends(make_client: MakeClient) -> None:
    client = make_client(published=True)
    place = ask(client, filter={"phone": "13800138000"}).headers["location"]
    assert finished(client, place)["status"] == "succeeded"

    with store_of(client).read() as connection:
        assert connection.execute(select(job.c.params)).scalar_one() == {}


def test_the_job_of_somebody_who_left_fails(make_client: MakeClient) -> None:
    client = make_client(published=True, settings={"job_workers": 0})
    ask(client)
    store_of(client).write(lambda connection: connection.execute(update(actor).values(is_active=False)))

    make_client(published=True)

    deadline = time.monotonic() + 10
    problems = None
    while problems is None and time.monotonic() < deadline:
        with store_of(client).read() as connection:
            problems = connection.execute(select(job.c.problems)).scalar_one()
    assert problems is not None
    assert problems[0]["code"] == "requester_gone"


def test_a_narrowed_key_stays_narrow_while_its_job_waits(make_client: MakeClient) -> None:
    client = make_client(published=True, scopes=frozenset({Permission.CUSTOMER_EXPORT}))
    ask(client)

    with store_of(client).read() as connection:
        assert connection.execute(select(job.c.owner_scopes)).scalar_one() == [Permission.CUSTOMER_EXPORT]


def test_each_reach_of_a_role_adds_its_customers_and_no_others(make_client: MakeClient) -> None:
    client = make_client(published=True)
    everybody = len(listed(client, channel="patient"))
    clinic = next(customer["clinic_id"] for customer in listed(client) if "patient" in customer["channels"])
    scope = dict.fromkeys(ScopeChannel, Level.NONE) | {ScopeChannel.PATIENT: Level.CLINIC}
    key = make_actor(store_of(client), clinic_id=clinic, data_scope=scope)
    client.headers.update(bearer(key))

    _, content = exported(client, columns=["one_id", "clinic_id", "channels"])

    rows = sheet(content)[1:]
    assert all("患者" in row[2] for row in rows)
    assert 0 < len(rows) < everybody
    assert [row[0] for row in rows] == [customer["one_id"] for customer in listed(client)]


def test_nobody_s_customers_make_an_empty_file(make_client: MakeClient) -> None:
    client = make_client(published=True, data_scope=dict.fromkeys(ScopeChannel, Level.NONE))

    ended, content = exported(client, columns=["one_id"])

    assert ended["result"]["rows"] == 0
    assert sheet(content) == [("客户编号",)]


def test_an_export_holds_the_customers_of_the_same_search(make_client: MakeClient) -> None:
    client = make_client(published=True)
    body = {
        "filter": {"channel": "patient"},
        "advanced": {
            "combinator": "and",
            "rules": [{"kind": "attribute", "field": "gender", "operator": "eq", "value": "女"}],
        },
    }
    page = client.post("/v1/customers/search", json={**body, "limit": 200}).json()

    ended, content = exported(client, columns=["one_id", "gender"], **body)

    rows = sheet(content)[1:]
    assert ended["result"]["rows"] == len(rows) == page["total"] > 0
    assert [row[0] for row in rows][:200] == [customer["one_id"] for customer in page["customers"]]
    assert {row[1] for row in rows} == {"女"}
    with store_of(client).read() as connection:
        told = connection.execute(
            select(audit_log.c.after).where(audit_log.c.action == "export.requested")
        ).scalar_one()
    assert told["filter"] == {"channel": "patient"}
    assert set(told) >= {"advanced_sha256", "rows"}
    assert "女" not in str(told)


def test_a_remark_is_exported_to_whoever_may_see_all_that_it_may_hold(make_client: MakeClient) -> None:
    client = make_client(published=True)
    remarks = {row[0] for row in sheet(exported(client, columns=["patient_remark"])[1])[1:]}
    marketer = make_actor(store_of(client), permissions=(Permission.CUSTOMER_VIEW, Permission.CUSTOMER_EXPORT))

    client.headers.update(bearer(marketer))

    assert len(remarks) > 1
    assert {row[0] for row in sheet(exported(client, columns=["patient_remark"])[1])[1:]} <= {None, ""}


def test_a_masked_field_filters_no_export(make_client: MakeClient) -> None:
    client = make_client(published=True, permissions=(Permission.CUSTOMER_VIEW, Permission.CUSTOMER_EXPORT))
    rule = {"kind": "attribute", "field": "phone", "operator": "starts_with", "value": "138"}

    answer = ask(client, advanced={"combinator": "and", "rules": [rule]})

    assert answer.status_code == 403
    assert answer.json()["problems"][0]["path"] == "/advanced/rules/0/field"
