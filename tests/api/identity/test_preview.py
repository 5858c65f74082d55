"""Previews of decisions over HTTP, on both stores: what is refused, what the job answers, how it ends."""

import json
import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from api.access.actors import Level, ScopeChannel
from api.access.permissions import Permission
from api.background import JOB_KINDS
from api.clock import now
from api.identity import preview as preview_module
from api.jobs.context import Services
from api.jobs.worker import Worker
from api.storage.tables.jobs import job
from pipelines.settings import PipelineSettings
from pipelines.warehouse.lock import writer_lock
from tests.api.access.people import audited, once, other, store_of
from tests.api.conftest import MakeClient
from tests.api.identity.conftest import People
from tests.api.identity.test_overrides import PHONE, REFUSED, decide, identities, revoke
from tests.api.probe import found
from tests.api.test_export import finished


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    """Somebody who may do everything, on a new store where no job runs."""
    return make_client(published=True, settings={"job_workers": 0})


@pytest.fixture
def at_work(own_copy: PipelineSettings, make_client: MakeClient) -> TestClient:
    """The same over a night of its own, with a worker."""
    assert own_copy.folders.warehouse.exists()
    return make_client(published=True)


def ask(client: TestClient, headers: dict[str, str] | None = None, **body: Any) -> Any:
    return client.post("/v1/identity/overrides/preview", json=body, headers={**once(), **(headers or {})})


def result(client: TestClient, headers: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
    place = ask(client, headers, **body).headers["location"]
    deadline = time.monotonic() + 60
    while (ended := client.get(place, headers=headers).json())["status"] in ("queued", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert ended["status"] == "succeeded", ended
    told: dict[str, Any] = ended["result"]
    return told


def rows(client: TestClient) -> list[dict[str, Any]]:
    with store_of(client).read() as connection:
        return [dict(row) for row in connection.execute(select(job)).mappings()]


def test_what_saving_refuses_a_preview_refuses_alike(client: TestClient, people: People) -> None:
    a, b, *_ = people.patients
    merge = decide(client, "merge", key=a, other_key=b)
    block = decide(client, "block", **PHONE)
    revoke(client, block)

    answers = [(ask(client, kind=kind, **members), problems) for kind, members, problems in REFUSED]

    assert [(answer.status_code, found(answer)) for answer, _ in answers] == [(422, wanted) for _, wanted in answers]
    assert found(ask(client)) == {("missing", "/kind")}
    told = ask(client, kind="merge", key=a, revoke=merge.json()["id"])
    assert found(told) == {("not_for_this_kind", "/kind"), ("not_for_this_kind", "/key")}
    told = ask(client, revoke=5, kind="marry", key="a", value=[])
    assert found(told) == {
        ("string_type", "/revoke"), ("enum", "/kind"), ("string_type", "/value"),
        *(("not_for_this_kind", path) for path in ("/kind", "/key", "/value")),
    }  # fmt: skip
    assert found(ask(client, key=5)) == {("string_type", "/key"), ("missing", "/kind")}
    split = ask(client, kind="split", key=b, other_key=a)
    assert (split.status_code, found(split)) == (409, {("split_inside_merge", "")})
    unknown, again = ask(client, revoke="ov_x"), ask(client, revoke=block.json()["id"])
    assert (unknown.status_code, found(unknown)) == (404, {("override_unknown", "/path/override_id")})
    assert (again.status_code, found(again)) == (409, {("override_revoked", "")})
    assert rows(client) == []


def test_only_who_may_decide_may_preview(client: TestClient) -> None:
    clinic_admin = other(client, clinic_id="A", data_scope=dict.fromkeys(ScopeChannel, Level.CLINIC))
    reader = other(client, permissions=(Permission.IDENTITY_VIEW,))

    assert found(ask(client, clinic_admin, kind="block", **PHONE)) == {("every_customer_only", "")}
    assert ask(client, reader, kind="block", **PHONE).status_code == 403


def test_a_repeated_request_starts_one_job_and_the_log_names_nobody(client: TestClient, people: People) -> None:
    key, body = once(), {"kind": "detach", "key": people.fan, **PHONE}

    first, second = ask(client, key, **body), ask(client, key, **body)

    assert (first.status_code, second.headers["idempotency-replayed"]) == (202, "true")
    assert first.headers["location"] == second.headers["location"]
    (started,) = rows(client)
    assert started["params"] == {"rows": [{"kind": "detach", "a": people.fan, "b": "+8613812345678"}]}
    (entry,) = [row for row in audited(client) if row["action"] == "identity_override.preview"]
    assert people.fan not in str(entry)
    assert entry["after"]["value"] == "+86138****5678"


def test_the_job_tells_what_the_decision_would_change(at_work: TestClient, people: People) -> None:
    a, b, c, d, *_ = people.patients
    merge = decide(at_work, "merge", key=a, other_key=b).json()["id"]

    beside = result(at_work, kind="merge", key=c, other_key=d, reason="同一人")
    revoking = result(at_work, revoke=merge)

    assert beside["event_counts"]["ID_MERGED"] == 1
    moved = {event["key"] for event in beside["events"] if event["event"] == "MOVED"}
    assert moved & {c, d}
    assert not moved & {a, b}
    assert {event["override_id"] for event in beside["events"]} == {"proposed-1"}
    assert (revoking["events"], revoking["gone_event_counts"]["ID_MERGED"]) == ([], 1)
    assert {event["override_id"] for event in revoking["gone_events"]} == {merge}


def test_beside_a_running_night_the_job_says_to_come_back(
    own_copy: PipelineSettings, at_work: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDP_LOCK_WAIT_SECONDS", "0")

    with writer_lock(own_copy.folders, wait_seconds=0, owner="test"):
        ended = finished(at_work, ask(at_work, kind="block", **PHONE).headers["location"])

    assert ended["status"] == "failed"
    (problem,) = ended["problems"]
    assert (problem["code"], problem["path"]) == ("warehouse_busy", "")
    assert "请稍后再试" in problem["message_zh"]


Program = Callable[[str], Path]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """`program(script)`: another `cdp` beside the interpreter; the file in which it leaves its process id."""

    def make(script: str) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        cdp, pid = folder / "cdp", folder / "pid"
        cdp.write_text(f"#!/bin/sh\necho $$ > {pid}\n{script}\n", encoding="utf-8")
        cdp.chmod(0o755)
        monkeypatch.setattr(preview_module.sys, "executable", str(folder / "python"))
        monkeypatch.setattr(preview_module, "LOOK_SECONDS", 0.05)
        return pid

    return make


def test_a_cancelled_preview_ends_at_once_with_its_program(make_client: MakeClient, program: Program) -> None:
    pid, client = program("exec sleep 60"), make_client(published=True)
    place = ask(client, kind="block", **PHONE).headers["location"]
    deadline = time.monotonic() + 20
    while not (pid.exists() and pid.read_text(encoding="utf-8").strip()):
        assert time.monotonic() < deadline
        time.sleep(0.02)

    client.post(f"{place}/cancel", headers=once())

    assert finished(client, place)["status"] == "cancelled"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text(encoding="utf-8")), 0)


@pytest.mark.parametrize(
    ("script", "seconds", "code"),
    [("exec sleep 60", 0.3, "preview_too_long"), ("echo 'error 13812345678' >&2; exit 1", 60, "preview_failed")],
)
def test_a_program_that_does_not_answer_fails_the_job_with_what_to_do(
    make_client: MakeClient, program: Program, monkeypatch: pytest.MonkeyPatch, script: str, seconds: float, code: str
) -> None:
    program(script)
    client = make_client(published=True)
    monkeypatch.setattr(preview_module, "LONGEST_SECONDS", seconds)

    ended = finished(client, ask(client, kind="block", **PHONE).headers["location"])

    assert (ended["status"], [problem["code"] for problem in ended["problems"]]) == ("failed", [code])
    assert "try again later" in ended["problems"][0]["message_en"]


def erase_customer_of(client: TestClient, key: str) -> None:
    customers = client.get("/v1/customers", params={"limit": 200, "channel": "patient"}).json()["customers"]
    one_id = next(
        one["one_id"] for one in customers if key in {known["key"] for known in identities(client, one["one_id"])}
    )
    asked = client.post(f"/v1/customers/{one_id}/erasure", json={"reason": "客户要求"}, headers=once())
    assert asked.status_code == 202, asked.text


def test_the_order_to_forget_a_customer_empties_the_previews_of_before(at_work: TestClient, people: People) -> None:
    a, b, *_ = people.patients
    assert a in str(result(at_work, kind="merge", key=a, other_key=b))

    erase_customer_of(at_work, a)

    assert [(row["params"], row["result"], row["status"]) for row in rows(at_work)] == [({}, None, "succeeded")]


def test_an_answer_names_nobody_who_is_forgotten_and_no_number_to_who_may_see_none(
    make_client: MakeClient, program: Program, people: People
) -> None:
    a, b, *_ = people.patients
    lead = "lead:leads:13812345678"
    event = dict.fromkeys(("event", "from_id", "to_id", "cause_value_type", "cause_value_masked", "override_id"))
    refused = {
        "value_type": "binding",
        "value_masked": a,
        "tier": 1,
        "left_key": lead,
        "right_key": b,
        "reason": "size",
    }
    told: dict[str, Any] = {name: [] for name in ("events", "gone_events", "conflicts", "gone_conflicts")}
    told |= {"events": [{**event, "key": lead, "via_key": a}], "gone_conflicts": [refused]}
    program(f"cat <<'END'\n{json.dumps(told)}\nEND")
    client = make_client(published=True)
    manager = other(client, permissions=(Permission.IDENTITY_MANAGE,))

    erase_customer_of(client, a)
    seen, masked = (result(client, headers, kind="block", **PHONE) for headers in (None, manager))

    assert seen["events"] == [{**event, "key": lead, "via_key": None}]
    assert seen["gone_conflicts"] == [{**refused, "value_masked": None}]
    assert masked["events"] == [{**event, "key": "lead:leads:138****5678", "via_key": None}]
    assert "13812345678" not in str(masked)


def test_a_preview_that_waits_when_a_customer_is_forgotten_is_cancelled_and_empty(
    client: TestClient, people: People
) -> None:
    a, b, *_ = people.patients
    ask(client, kind="merge", key=a, other_key=b)

    erase_customer_of(client, a)

    (waiting,) = rows(client)
    assert (waiting["params"], waiting["status"]) == ({}, "queued")
    state: Any = client.app.state  # type: ignore[attr-defined]
    services = Services(state.database, state.settings, state.reader, now, state.filters)
    Worker(JOB_KINDS, services, name="one", lease=timedelta(seconds=60)).step()
    assert [row["status"] for row in rows(client)] == ["cancelled"]
