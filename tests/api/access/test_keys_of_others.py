"""For whom a clinic's administrator makes keys."""

import pytest
from fastapi.testclient import TestClient

from tests.api.access.people import actor_of, once, other
from tests.api.conftest import MakeClient
from tests.api.probe import found

MANAGES = ("access.view", "access.manage", "customer.view")


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    return make_client()


def test_a_clinics_administrator_makes_keys_for_themselves_and_for_programs_but_for_no_colleague(
    client: TestClient,
) -> None:
    admin = other(client, permissions=MANAGES, clinic_id="C1")
    colleague = other(client, permissions=("customer.view",), clinic_id="C1")
    program = other(client, permissions=("customer.view",), clinic_id="C1", kind="client")

    answers = [
        client.post(
            "/v1/access/keys",
            json={"actor_id": actor_of(client, owner), "name": "x", "scopes": None},
            headers={**admin, **once()},
        )
        for owner in (admin, program, colleague)
    ]

    assert [answer.status_code for answer in answers] == [201, 201, 403]
    assert found(answers[2]) == {("headquarters_only", "")}
