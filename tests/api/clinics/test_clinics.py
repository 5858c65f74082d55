"""Clinics and their service over HTTP, on both stores: what is shown to whom, what is taken and what is refused."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.access.actors import Level, ScopeChannel
from api.clock import now
from api.settings import ApiSettings
from api.storage.clinic_services import excluded_clinics
from tests.api.access.people import MANAGES, audited, other, store_of
from tests.api.conftest import MakeClient
from tests.api.probe import found
from tests.at_once import at_once

TODAY = now().astimezone(ApiSettings().zone).date()
LATER, EARLIER = TODAY + timedelta(days=7), TODAY - timedelta(days=7)
NEW = {"If-Match": '"1"'}


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    """Somebody who may do everything, on a new store."""
    return make_client(published=True)


def clinics(client: TestClient, headers: dict[str, str] | None = None) -> dict[str, Any]:
    answer = client.get("/v1/clinics", headers=headers)
    assert answer.status_code == 200, answer.text
    return {one["clinic_id"]: one for one in answer.json()["clinics"]}


def notice(client: TestClient, headers: dict[str, str] | None = None) -> Any:
    return client.get("/v1/clinics", headers=headers).json()["notice"]


def branches(client: TestClient) -> list[str]:
    return [one["clinic_id"] for one in clinics(client).values() if not one["is_headquarters"]]


def put(client: TestClient, clinic_id: str, status: str, headers: dict[str, str] | None = None, **more: Any) -> Any:
    body = {"status": status, "since": str(TODAY), **more}
    return client.put(f"/v1/clinics/{clinic_id}/service", json=body, headers=NEW if headers is None else headers)


def test_every_published_clinic_is_served_until_somebody_says_otherwise(client: TestClient) -> None:
    listed = clinics(client)

    assert len(listed) > 1
    assert next(iter(listed.values()))["is_headquarters"]
    assert {(one["status"], one["selectable"], one["version"], one["since"]) for one in listed.values()} == {
        ("active", True, 1, None)
    }
    assert all(one["label"] == one["clinic_name"] for one in listed.values())
    assert {one["source_status"] for one in listed.values()} <= {"未开通", "初始化中", "已开通", "已到期"}
    assert notice(client) is None


def test_an_initialising_clinic_is_marked_not_to_be_chosen_and_told_in_a_banner(client: TestClient) -> None:
    first, *_ = branches(client)

    written = put(client, first, "initialising")

    one = clinics(client)[first]
    assert (written.status_code, written.json(), written.headers["etag"]) == (200, one, '"2"')
    assert one["label"] == one["clinic_name"] + "(CDP初始化中)"
    assert (one["status"], one["selectable"]) == ("initialising", False)
    told = notice(client)
    assert told["kind"] == "banner"
    assert all(one["clinic_name"] in told[name] for name in ("message_zh", "message_en"))


def test_a_chain_of_which_no_clinic_is_ready_shows_a_placeholder(client: TestClient) -> None:
    for one in branches(client):
        assert put(client, one, "initialising").status_code == 200

    assert notice(client)["kind"] == "placeholder"


def test_an_end_is_set_ahead_and_comes_by_itself(client: TestClient) -> None:
    first, second, *_ = branches(client)

    put(client, first, "ended", since=str(LATER))
    put(client, second, "active", since="2025-01-01", until=str(LATER))

    listed = clinics(client)
    assert [(listed[one]["status"], listed[one]["selectable"]) for one in (first, second)] == [("active", True)] * 2
    assert (listed[first]["set_status"], listed[first]["since"]) == ("ended", str(LATER))
    with store_of(client).read() as connection:
        assert excluded_clinics(connection, TODAY) == frozenset()
        assert excluded_clinics(connection, LATER) == {first, second}


def test_an_ended_clinic_keeps_its_name_and_cannot_be_chosen(client: TestClient) -> None:
    first, *_ = branches(client)

    written = put(client, first, "active", since="2025-01-01", until=str(EARLIER)).json()

    assert (written["status"], written["selectable"], written["label"]) == ("ended", False, written["clinic_name"])
    assert notice(client) is None


def test_a_service_is_edited_from_the_version_that_was_read_and_audited(client: TestClient) -> None:
    first, *_ = branches(client)

    unread = put(client, first, "ended", {})
    made = put(client, first, "initialising")
    stale = put(client, first, "ended")
    edited = put(client, first, "active", {"If-Match": made.headers["etag"]}, until=str(LATER))

    assert (unread.status_code, stale.status_code, edited.status_code) == (428, 412, 200)
    assert clinics(client)[first] == edited.json()
    assert edited.json()["version"] == 3
    rows = audited(client)
    assert [(row["action"], row["target_kind"], row["target_id"]) for row in rows] == [
        ("clinic.service", "clinic", first)
    ] * 2
    assert rows[0]["before"] is None
    assert rows[1]["before"] == rows[0]["after"] == {"status": "initialising", "since": str(TODAY), "until": None}
    assert rows[1]["after"] == {"status": "active", "since": str(TODAY), "until": str(LATER)}


def test_of_writes_made_at_once_from_one_version_exactly_one_wins(client: TestClient) -> None:
    first, *_ = branches(client)

    def write(status: str) -> int:
        return int(put(client, first, status).status_code)

    statuses = at_once(write, ["ended", "initialising", "active", "ended"])

    assert sorted(statuses) == [200, 412, 412, 412]
    assert clinics(client)[first]["version"] == 2
    assert len(audited(client)) == 1


REFUSED: list[tuple[dict[str, Any], set[tuple[str, str]]]] = [
    ({"status": "ended", "until": "2026-01-01"}, {("missing", "/since"), ("until_not_allowed", "/until")}),
    ({"status": "ended", "since": "2026-01-01", "until": "2026-01-01"},
     {("until_not_allowed", "/until"), ("until_not_after_since", "/until")}),
    ({"status": "active", "since": "2026-01-02", "until": "2026-01-01"}, {("until_not_after_since", "/until")}),
    ({"status": "closed", "since": "2026-1-2"}, {("enum", "/status"), ("date_parsing", "/since")}),
    ({"status": "closed", "since": "2026-01-02", "until": "2026-01-02"},
     {("enum", "/status"), ("until_not_after_since", "/until")}),
    ({"since": "2026-01-02", "clinic_id": "C1"}, {("missing", "/status"), ("extra_forbidden", "/clinic_id")}),
    ({"status": None, "since": None}, {("enum", "/status"), ("date_type", "/since")}),
]  # fmt: skip


def test_what_makes_no_sense_is_refused_with_every_problem(client: TestClient) -> None:
    first, *_ = branches(client)

    answers = [client.put(f"/v1/clinics/{first}/service", json=body, headers=NEW) for body, _ in REFUSED]

    assert [answer.status_code for answer in answers] == [422] * len(REFUSED)
    assert [found(answer) for answer in answers] == [problems for _, problems in REFUSED]
    assert clinics(client)[first]["version"] == 1


def test_a_clinic_that_is_not_published_is_not_found(client: TestClient) -> None:
    answer = put(client, "nowhere", "ended")

    assert (answer.status_code, found(answer)) == (404, {("clinic_unknown", "/path/clinic_id")})


def test_only_headquarters_says_who_is_served(client: TestClient) -> None:
    first, *_ = branches(client)
    clinic_admin = other(client, clinic_id=first, data_scope={ScopeChannel.PATIENT: Level.CLINIC})
    marketer = other(client, permissions=("customer.view",))
    manager = other(client, permissions=MANAGES)

    answers = [put(client, first, "ended", NEW | who) for who in (clinic_admin, marketer, manager)]

    assert [answer.status_code for answer in answers] == [403, 403, 200]
    assert found(answers[0]) == {("headquarters_only", "")}


def test_a_clinics_people_see_their_own_clinic_and_its_banner_alone(client: TestClient) -> None:
    first, second, *_ = branches(client)
    nurse = other(client, permissions=("customer.view",), clinic_id=first)
    nobody = other(client, permissions=("review.view",))
    put(client, second, "initialising")

    assert list(clinics(client, nurse)) == [first]
    assert notice(client, nurse) is None
    assert notice(client)["kind"] == "banner"
    assert client.get("/v1/clinics", headers=nobody).status_code == 403
