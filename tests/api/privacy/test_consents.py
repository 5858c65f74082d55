"""Consents: given, withdrawn, never assumed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import Connection, select

from api.access.actors import Level, ScopeChannel
from api.access.permissions import Permission
from api.caller import system_caller
from api.privacy.consents import change_consent, consents_of
from api.privacy.erasure import Person, forget
from api.privacy.schemas import Consent, ConsentChange, Purpose
from api.storage.database import Database
from api.storage.tables.customers import customer_consent
from tests.api.conftest import MakeClient

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
SECRET = b"s" * 32
GIVEN = {"granted": True, "source": "paper"}


def somebody(client: TestClient) -> str:
    found: str = client.get("/v1/customers?limit=1").json()["customers"][0]["one_id"]
    return found


def put(client: TestClient, one_id: str, body: dict[str, Any], etag: str | None, purpose: str = "marketing") -> Any:
    headers = {} if etag is None else {"If-Match": etag}
    return client.put(f"/v1/customers/{one_id}/consents/{purpose}", json=body, headers=headers)


def test_whoever_was_never_asked_has_not_consented(make_client: MakeClient) -> None:
    client = make_client(published=True)

    answer = client.get(f"/v1/customers/{somebody(client)}/consents").json()

    assert [(found["purpose"], found["granted"]) for found in answer["consents"]] == [
        ("marketing", None),
        ("public_display", None),
    ]


def test_a_consent_is_kept_with_who_and_how_and_can_be_withdrawn(make_client: MakeClient) -> None:
    client = make_client(published=True)
    one_id = somebody(client)

    given = put(client, one_id, GIVEN, '"1"')
    withdrawn = put(client, one_id, {"granted": False, "source": "phone"}, given.headers["etag"])
    marketing, public_display = client.get(f"/v1/customers/{one_id}/consents").json()["consents"]

    assert (given.status_code, given.json()["granted"], given.headers["etag"]) == (200, True, '"2"')
    assert withdrawn.status_code == 200
    assert (marketing["granted"], marketing["source"], marketing["version"]) == (False, "phone", 3)
    assert marketing["changed_by"].startswith("staff:")
    assert public_display["granted"] is None


def test_an_edit_names_the_version_it_was_made_from(make_client: MakeClient) -> None:
    client = make_client(published=True)
    one_id = somebody(client)

    assert put(client, one_id, GIVEN, None).status_code == 428
    assert put(client, one_id, GIVEN, '"7"').status_code == 412
    assert client.get(f"/v1/customers/{one_id}/consents").json()["consents"][0]["granted"] is None


def test_of_two_edits_at_once_one_is_told_to_read_again(make_client: MakeClient) -> None:
    client = make_client(published=True)
    one_id = somebody(client)
    wishes = [{"granted": granted, "source": "phone"} for granted in (True, False)]

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda body: put(client, one_id, body, '"1"').status_code, wishes))

    assert sorted(answers) == [200, 412]


def test_an_unknown_customer_and_one_out_of_reach_are_the_same_404(make_client: MakeClient) -> None:
    everybody = make_client(published=True)
    nobody = make_client(
        permissions=(Permission.CUSTOMER_VIEW, Permission.CUSTOMER_CONSENT_EDIT),
        data_scope=dict.fromkeys(ScopeChannel, Level.NONE),
    )
    one_id = somebody(everybody)

    foreign, unknown = (put(nobody, found, GIVEN, '"1"') for found in (one_id, "C-nobody"))

    assert foreign.status_code == unknown.status_code == 404
    assert foreign.json()["problems"] == unknown.json()["problems"]


def test_of_customers_who_were_merged_the_latest_word_counts_and_a_tie_is_a_refusal(database: Database) -> None:
    def said(one_ids: str, *, granted: bool, minute: int, version: str = '"1"') -> Consent:
        change = ConsentChange(granted=granted, source="phone")
        at, ids = datetime(2026, 11, 20, 8, minute, tzinfo=UTC), one_ids.split("+")

        def work(connection: Connection) -> Consent:
            caller = system_caller("test")
            return change_consent(
                connection, caller, ids, Purpose.MARKETING, change, if_match=version, secret=SECRET, now=at
            )

        return database.write(work)

    def heard(*one_ids: str) -> tuple[bool | None, int]:
        with database.read() as connection:
            marketing = consents_of(connection, one_ids)[0]
        return marketing.granted, marketing.version

    said("old", granted=False, minute=2)
    said("new", granted=True, minute=1)
    assert heard("new", "old") == (False, 2)
    assert heard("new") == (True, 2)

    said("new+old", granted=True, minute=3, version='"2"')
    assert heard("new", "old") == (True, 3)

    said("tie", granted=False, minute=3)
    assert heard("new", "old", "tie") == (False, 2)


def test_to_forget_a_customer_is_to_forget_who_was_merged_into_them(database: Database) -> None:
    def work(connection: Connection) -> None:
        for one_id in ("old", "new", "other"):
            change_consent(
                connection, system_caller("test"), [one_id], Purpose.MARKETING,
                ConsentChange(granted=True, source="phone"), if_match='"1"', secret=SECRET,
                now=NOW,
            )  # fmt: skip
        person = Person("new", ("lead:leads:1",), ("old",))
        forget(connection, system_caller("test"), person, reason="x", secret=SECRET, engine=database.kind, now=NOW)

    database.write(work)

    with database.read() as connection:
        assert connection.execute(select(customer_consent.c.one_id)).scalars().all() == ["other"]
