"""Consents: given, withdrawn, never assumed."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi.testclient import TestClient

from api.access.actors import Level, ScopeChannel
from api.access.permissions import Permission
from tests.api.conftest import MakeClient

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
