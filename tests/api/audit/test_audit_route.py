"""The audit log over HTTP."""

from typing import Any

from api.access.permissions import Permission
from tests.api.conftest import MakeClient


def make_roles(client: Any, count: int) -> None:
    for number in range(count):
        role = {"name_zh": f"角色{number}", "name_en": f"Role {number}", "permissions": [], "data_scope": {}}
        answer = client.post("/v1/access/roles", json=role, headers={"Idempotency-Key": f"r{number}"})
        assert answer.status_code == 201, answer.json()


def test_pages_together_hold_every_row_newest_first(make_client: MakeClient) -> None:
    client = make_client()
    make_roles(client, 5)

    seen: list[int] = []
    query = {"limit": 2}
    while True:
        page = client.get("/v1/audit", params=query).json()
        seen += [row["seq"] for row in page["rows"]]
        if page["next_before"] is None:
            break
        query["before"] = page["next_before"]

    assert seen == sorted(seen, reverse=True)
    assert len(seen) == len(set(seen)) >= 5


def test_a_row_says_who_did_what_to_what_in_which_request(make_client: MakeClient) -> None:
    client = make_client()
    make_roles(client, 1)

    (row,) = client.get("/v1/audit?target_kind=role&limit=1").json()["rows"]

    me = client.get("/v1/me").json()
    assert row["actor_id"] == me["id"]
    assert row["request_id"]
    assert row["after"]
    assert client.get("/v1/audit", params={"actor_id": "nobody"}).json()["rows"] == []
    assert client.get("/v1/audit", params={"until": row["at"], "target_kind": "role"}).json()["rows"] == []
    assert client.get("/v1/audit", params={"since": row["at"], "target_kind": "role"}).json()["rows"] == [row]


def test_only_who_may_see_the_log_sees_it(make_client: MakeClient) -> None:
    assert make_client(permissions=(Permission.CUSTOMER_VIEW,)).get("/v1/audit").status_code == 403
