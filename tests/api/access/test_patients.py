"""Patients: login at a WeChat on this machine, whom they act for, and what the night changes about it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select, update

from api.access.links import SOURCE, Binding, Link, changes
from api.clock import now
from api.edge.rate_limit import RateLimits
from api.main import create_app
from api.settings import ApiSettings
from api.storage.tables.access import patient_account, patient_link, patient_session
from api.storage.tables.customers import erasure_request
from pipelines.settings import PipelineSettings
from segment_engine.runtime.published import read_pointer
from tests.api.access.people import store_of
from tests.api.conftest import MakeClient, bearer, make_actor
from tests.api.probe import found
from tests.http_server import Answer, http_server

SECRET, SESSION_KEY = "s3cr3t-of-the-app", "session-key-of-the-user"


@dataclass
class WeChat:
    """Speaks jscode2session: JSON as text/plain, errors with status 200, each code once."""

    address: str = ""
    openids: dict[str, str] = field(default_factory=dict)
    answer: bytes | None = None
    status: int = 200
    asked: list[dict[str, str]] = field(default_factory=list)

    def reply(self, path: str) -> Answer:
        return Answer(self.content(path), "text/plain", status=self.status)

    def content(self, path: str) -> bytes:
        url = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.asked.append({"path": url.path, **query})
        if self.answer is not None:
            return self.answer
        openid = self.openids.pop(query["js_code"], None)
        if openid is None:
            return json.dumps({"errcode": 40029, "errmsg": "invalid code"}).encode()
        return json.dumps({"openid": openid, "session_key": SESSION_KEY, "unionid": f"u-{openid}"}).encode()


@pytest.fixture
def wechat() -> Iterator[WeChat]:
    wechat = WeChat()
    with http_server(wechat.reply) as wechat.address:
        yield wechat


@pytest.fixture(scope="module")
def family(published_version: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A user of the shared night who acts for themselves and for somebody else: app, openid, patient → name."""
    copy = tmp_path_factory.mktemp("copy") / "version.duckdb"
    copy.write_bytes(published_version.read_bytes())
    with duckdb.connect(str(copy), read_only=True) as con:
        rows = con.execute(
            """
            select app_id, openid, patient_id, relation, name, one_id
            from marts.patient_binding
            inner join marts.dim_identity on identity_key = 'patient:saas:' || patient_id
            inner join marts.dim_customer using (customer_key, one_id)
            where unbound_at is null
            order by openid, patient_id
            """
        ).fetchall()
        closed = con.execute("select openid from marts.patient_binding where unbound_at is not null").fetchall()
    patients: dict[str, dict[str, Any]] = {}
    for app_id, openid, patient_id, relation, name, one_id in rows:
        user = patients.setdefault(openid, {"app_id": app_id, "openid": openid, "patients": {}, "one_ids": {}})
        user["patients"][patient_id] = (relation, name)
        user["one_ids"][patient_id] = one_id
    ended = {openid for (openid,) in closed}
    return next(
        user
        for user in patients.values()
        if len(user["patients"]) > 1
        and user["openid"] not in ended
        and "本人" in [relation for relation, _ in user["patients"].values()]
    )


@pytest.fixture
def client(make_client: MakeClient, wechat: WeChat, family: dict[str, Any]) -> TestClient:
    return make_client(published=True, settings=login_settings(wechat, family["app_id"]))


def login_settings(wechat: WeChat, app_id: str) -> dict[str, Any]:
    return {
        "wechat_app_id": app_id, "wechat_app_secret": SECRET, "wechat_api_url": wechat.address,
        "rate_limit_per_patient": 0,
    }  # fmt: skip


def log_in(client: TestClient, wechat: WeChat, openid: str, code: str = "code-1") -> Any:
    wechat.openids[code] = openid
    return client.post("/v1/patient/sessions", json={"code": code}, headers={"Authorization": ""})


def test_a_login_makes_an_account_and_shows_whom_it_acts_for(
    client: TestClient, wechat: WeChat, family: dict[str, Any]
) -> None:
    answer = log_in(client, wechat, family["openid"])

    body = answer.json()
    assert answer.status_code == 201
    assert {one["patient_id"]: (one["relation"], one["name"]) for one in body["patients"]} == family["patients"]
    assert body["patient"]["relation"] == "本人"
    assert datetime.fromisoformat(body["expires_at"]) - now() > timedelta(days=29)
    assert wechat.asked == [
        {
            "path": "/sns/jscode2session", "appid": family["app_id"], "secret": SECRET, "js_code": "code-1",
            "grant_type": "authorization_code",
        }
    ]  # fmt: skip
    assert client.get("/v1/patient/me", headers=bearer(body["token"])).json() == {
        name: body[name] for name in ("account_id", "patient", "patients")
    }


def test_a_second_login_is_another_session_of_the_same_account(
    client: TestClient, wechat: WeChat, family: dict[str, Any]
) -> None:
    first = log_in(client, wechat, family["openid"], "code-1").json()
    second = log_in(client, wechat, family["openid"], "code-2").json()

    assert first["account_id"] == second["account_id"]
    assert first["token"] != second["token"]
    with store_of(client).read() as connection:
        assert len(connection.execute(select(patient_account)).all()) == 1
        assert len(connection.execute(select(patient_link)).all()) == len(family["patients"])


def test_neither_code_nor_secrets_are_logged_or_kept(
    client: TestClient, wechat: WeChat, family: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    token = log_in(client, wechat, family["openid"], "code-never-shown").json()["token"]
    wechat.answer = b"not json"
    log_in(client, wechat, family["openid"], "code-never-shown")
    wechat.answer = b'{"errcode":40013,"errmsg":"invalid appid"}'
    log_in(client, wechat, family["openid"], "code-never-shown")

    written = "".join(capsys.readouterr())
    with store_of(client).read() as connection:
        stored = str([connection.execute(select(table)).all() for table in (patient_account, patient_session)])
    for secret in ("code-never-shown", SECRET, SESSION_KEY, token.split("_")[2]):
        assert secret not in written
        assert secret not in stored
    assert family["openid"] not in written


@pytest.mark.parametrize(
    ("answer", "http", "status", "problem"),
    [
        (None, 200, 422, ("login_code_invalid", "/code")),
        (b'{"errcode":40163,"errmsg":"code been used"}', 200, 422, ("login_code_invalid", "/code")),
        (b'{"errcode":40226,"errmsg":"blocked"}', 200, 403, ("login_blocked", "/code")),
        (b'{"errcode":-1,"errmsg":"busy"}', 200, 503, ("wechat_unreachable", "")),
        (b'{"errcode":45011,"errmsg":"too often"}', 200, 503, ("wechat_unreachable", "")),
        (b'{"errcode":40125,"errmsg":"invalid secret"}', 200, 503, ("login_misconfigured", "")),
        (b'{"errcode":"?"}', 200, 503, ("login_misconfigured", "")),
        (b'{"errcode":[]}', 200, 503, ("wechat_unreachable", "")),
        (b'{"errcode":[1]}', 200, 503, ("login_misconfigured", "")),
        (b"{}", 200, 503, ("wechat_unreachable", "")),
        (b'{"openid":7}', 200, 503, ("wechat_unreachable", "")),
        (b"[]", 200, 503, ("wechat_unreachable", "")),
        (b"<html>", 200, 503, ("wechat_unreachable", "")),
        (b"\xff", 200, 503, ("wechat_unreachable", "")),
        (b"{}", 502, 503, ("wechat_unreachable", "")),
    ],
)
def test_what_wechat_refuses_is_told_in_our_words(
    client: TestClient, wechat: WeChat, answer: bytes | None, http: int, status: int, problem: tuple[str, str]
) -> None:
    wechat.answer, wechat.status = answer, http

    refused = client.post("/v1/patient/sessions", json={"code": "unknown"})

    assert refused.status_code == status
    assert found(refused) == {problem}


def test_a_wechat_that_is_not_there_is_503(make_client: MakeClient) -> None:
    client = make_client(
        settings={"wechat_app_id": "wx", "wechat_app_secret": "x", "wechat_api_url": "http://127.0.0.1:1"}
    )

    assert found(client.post("/v1/patient/sessions", json={"code": "c"})) == {("wechat_unreachable", "")}


def test_without_an_app_nobody_can_log_in(make_client: MakeClient) -> None:
    answer = make_client().post("/v1/patient/sessions", json={"code": "c"})

    assert (answer.status_code, found(answer)) == (503, {("login_not_configured", "")})


def test_another_mini_programs_code_is_refused_before_wechat_is_asked(client: TestClient, wechat: WeChat) -> None:
    answer = client.post("/v1/patient/sessions", json={"code": "c", "app_id": "wx-other"})

    assert (answer.status_code, found(answer)) == (422, {("unknown_app", "/app_id")})
    assert wechat.asked == []


def test_before_the_first_night_a_login_works_and_acts_for_nobody(make_client: MakeClient, wechat: WeChat) -> None:
    client = make_client(settings=login_settings(wechat, "wx1"))

    body = log_in(client, wechat, "o1").json()

    assert (body["patient"], body["patients"]) == (None, [])
    assert client.get("/v1/patient/me", headers=bearer(body["token"])).status_code == 200


def test_switching_is_for_linked_patients_and_for_this_session_only(
    client: TestClient, wechat: WeChat, family: dict[str, Any]
) -> None:
    here = bearer(log_in(client, wechat, family["openid"], "code-1").json()["token"])
    there = bearer(log_in(client, wechat, family["openid"], "code-2").json()["token"])
    child = next(of for of, (relation, _) in family["patients"].items() if relation != "本人")

    switched = client.put("/v1/patient/me/patient", json={"patient_id": child}, headers=here)
    refused = [
        client.put("/v1/patient/me/patient", json={"patient_id": of}, headers=here) for of in ("P-nobody", "P000001")
    ]

    assert switched.json()["patient"]["patient_id"] == child
    assert switched.json()["patient"]["name"] == family["patients"][child][1]
    assert client.get("/v1/patient/me", headers=here).json()["patient"]["patient_id"] == child
    assert client.get("/v1/patient/me", headers=there).json()["patient"]["patient_id"] != child
    assert {answer.status_code for answer in refused} == {403}
    assert found(refused[0]) == found(refused[1]) == {("patient_not_linked", "/patient_id")}


def test_a_logout_ends_this_session_and_no_other(client: TestClient, wechat: WeChat, family: dict[str, Any]) -> None:
    here = bearer(log_in(client, wechat, family["openid"], "code-1").json()["token"])
    there = bearer(log_in(client, wechat, family["openid"], "code-2").json()["token"])

    assert client.delete("/v1/patient/sessions/current", headers=here).status_code == 204
    assert client.get("/v1/patient/me", headers=here).status_code == 401
    assert client.get("/v1/patient/me", headers=there).status_code == 200


def test_a_session_ends_with_its_time(client: TestClient, wechat: WeChat, family: dict[str, Any]) -> None:
    headers = bearer(log_in(client, wechat, family["openid"]).json()["token"])
    over = update(patient_session).values(expires_at=now())
    store_of(client).write(lambda connection: connection.execute(over))

    assert client.get("/v1/patient/me", headers=headers).status_code == 401


def test_what_a_patient_lets_go_of_stays_gone_and_is_audited(
    client: TestClient, wechat: WeChat, family: dict[str, Any]
) -> None:
    headers = bearer(log_in(client, wechat, family["openid"]).json()["token"])
    acting = client.get("/v1/patient/me", headers=headers).json()["patient"]["patient_id"]

    let_go = client.delete(f"/v1/patient/me/patients/{acting}", headers=headers)
    again = client.delete(f"/v1/patient/me/patients/{acting}", headers=headers)
    me = client.get("/v1/patient/me", headers=headers).json()
    after_login = log_in(client, wechat, family["openid"], "code-2").json()

    assert (let_go.status_code, again.status_code) == (204, 403)
    assert me["patient"]["patient_id"] != acting
    assert me["patients"] == after_login["patients"]
    assert acting not in {one["patient_id"] for one in me["patients"]}
    assert client.put("/v1/patient/me/patient", json={"patient_id": acting}, headers=headers).status_code == 403
    who_may_see = bearer(make_actor(store_of(client)))
    (row,) = client.get("/v1/audit", params={"target_id": acting}, headers=who_may_see).json()["rows"]
    assert (row["action"], row["target_kind"], row["actor_kind"]) == ("patient_link.end", "patient", "patient")
    # The log outlives the patient, and the clinic's software knows this number for ever.
    assert acting not in json.dumps(row)


def test_a_patient_who_must_be_forgotten_is_nobodys_to_act_for(
    client: TestClient, wechat: WeChat, family: dict[str, Any]
) -> None:
    forgotten, one_id = next(iter(family["one_ids"].items()))
    request = {
        "id": "e1", "one_id": one_id, "status": "requested", "reason": "x", "requested_by": "x", "requested_at": now(),
    }  # fmt: skip
    store_of(client).write(lambda connection: connection.execute(insert(erasure_request).values(request)))

    body = log_in(client, wechat, family["openid"]).json()

    assert forgotten not in {one["patient_id"] for one in body["patients"]}


def test_one_account_has_ten_requests_at_once_and_five_a_second(
    make_client: MakeClient, wechat: WeChat, family: dict[str, Any]
) -> None:
    client = make_client(settings={**login_settings(wechat, family["app_id"]), "rate_limit_per_patient": 5})
    seconds = [0.0]
    client.app.state.rate_limits = RateLimits(lambda: seconds[0])  # type: ignore[attr-defined]
    first = bearer(log_in(client, wechat, "o1", "code-1").json()["token"])
    second = bearer(log_in(client, wechat, "o2", "code-2").json()["token"])

    statuses = [client.get("/v1/patient/me", headers=first).status_code for _ in range(11)]
    seconds[0] += 0.2
    statuses += [client.get("/v1/patient/me", headers=first).status_code for _ in range(2)]

    assert statuses == [200] * 10 + [429, 200, 429]
    assert client.get("/v1/patient/me", headers=second).status_code == 200


def test_a_new_version_changes_whom_an_open_session_acts_for(own_copy: PipelineSettings, wechat: WeChat) -> None:
    with duckdb.connect(str(own_copy.folders.published / read_pointer(own_copy.folders).file), read_only=True) as con:
        row = con.execute(
            "select app_id, openid, patient_id from marts.patient_binding where unbound_at is null"
        ).fetchone()
    assert row is not None
    app_id, openid, patient_id = row
    app = create_app(ApiSettings(data_dir=own_copy.data_dir, **login_settings(wechat, app_id)))
    with TestClient(app) as client:
        headers = bearer(log_in(client, wechat, openid).json()["token"])
        before = {one["patient_id"] for one in client.get("/v1/patient/me", headers=headers).json()["patients"]}
        publish_changed(own_copy, "update marts.patient_binding set unbound_at = now() where openid = $1", [openid])
        after = client.get("/v1/patient/me", headers=headers).json()
        publish_changed(own_copy, "update marts.patient_binding set unbound_at = null where openid = $1", [openid])
        back = {one["patient_id"] for one in client.get("/v1/patient/me", headers=headers).json()["patients"]}

    assert patient_id in before
    assert (after["patient"], after["patients"]) == (None, [])
    assert back == before


def publish_changed(settings: PipelineSettings, statement: str, values: list[str]) -> None:
    """A version more, as if a night had changed it."""
    pointer = read_pointer(settings.folders)
    number = int(pointer.version.split("-")[1]) + 1
    file = settings.folders.published / f"changed-{number}.duckdb"
    file.write_bytes((settings.folders.published / pointer.file).read_bytes())
    with duckdb.connect(str(file)) as con:
        con.execute(statement, values)
    fields = json.loads(pointer.to_json())
    fields |= {"version": f"20261120-{number:02}", "file": file.name, "sha256": str(number) * 64}
    (settings.folders.published / "CURRENT").write_text(json.dumps(fields))


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


def bound(at: int, until: int | None = None) -> Binding:
    return Binding("P1", "子女", day(at), None if until is None else day(until))


def link(at: int, until: int | None = None, *, by: str | None = None, origin: str = SOURCE) -> Link:
    return Link("P1", origin, day(at), None if until is None else day(until), by)


@pytest.mark.parametrize(
    ("binding", "linked", "opens", "closes"),
    [
        (bound(1), None, True, False),
        (bound(1), link(1), False, False),
        (bound(1, 5), None, False, False),
        (bound(1, 5), link(1), False, True),
        (None, link(1), False, True),
        (None, link(1, origin="staff:anna"), False, False),
        # The source undid it and may redo it, even with the old date.
        (bound(1), link(1, 5, by=SOURCE), True, False),
        # Undone here: it takes a later binding.
        (bound(1), link(1, 5, by="patient:a"), False, False),
        (bound(5), link(1, 5, by="patient:a"), False, False),
        (bound(6), link(1, 5, by="patient:a"), True, False),
        # Linked here after the source had undone its own.
        (bound(1, 5), link(6, origin="staff:anna"), False, False),
        (bound(1, 7), link(6, origin="staff:anna"), False, True),
    ],
)
def test_links_follow_bindings_but_not_against_a_later_word(
    binding: Binding | None, linked: Link | None, opens: bool, closes: bool
) -> None:
    opened, closed = changes([binding] if binding else [], [linked] if linked else [])

    assert (bool(opened), bool(closed)) == (opens, closes)
