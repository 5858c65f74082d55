"""People over the API, on both stores: who gives them roles where, who is shut out, and who must stay."""

from typing import Any

from fastapi.testclient import TestClient

from api.access.actors import EVERY_CLINIC, Level, ScopeChannel
from tests.api.access.people import a_role, actor_of, as_edit, audited, give, once, other, someone
from tests.api.conftest import MakeClient, bearer
from tests.api.probe import found
from tests.at_once import at_once


def test_a_clinics_admin_gives_roles_at_that_clinic_and_nowhere_else(client: TestClient) -> None:
    admin = other(client, permissions=(), clinic_id="C1")
    give(client, admin, "clinic_admin", "C1")

    def create(*roles: tuple[str, str]) -> Any:
        headers = {**admin, **once()}
        return client.post("/v1/access/actors", json=someone("唐三", *roles), headers=headers)

    assert create(("doctor", "C1")).status_code == 201
    assert create(("clinic_admin", "C1")).status_code == 201
    assert found(create(("doctor", "C1"), ("doctor", "C2"))) == {("exceeds_your_permissions", "/roles/1")}
    assert found(create(("doctor", EVERY_CLINIC))) == {("exceeds_your_permissions", "/roles/0")}
    assert found(create(("company_admin", "C1"))) == {("exceeds_your_permissions", "/roles/0")}
    assert found(create()) == {("roles_required", "/roles")}
    assert found(create(("nobody", "C1"))) == {("unknown_role", "/roles/0/role_id")}


def test_managing_one_clinic_and_working_at_another_is_not_managing_both(client: TestClient) -> None:
    admin = other(client, permissions=(), clinic_id="C1")
    give(client, admin, "clinic_admin", "C1")
    give(client, admin, "marketer", "C2")
    body = someone("唐三", ("marketer", "C2"))

    assert client.post("/v1/access/actors", json=body, headers={**admin, **once("k")}).status_code == 403


def test_people_of_other_clinics_are_not_there(client: TestClient) -> None:
    ours, theirs, both = (
        client.post("/v1/access/actors", json=someone(name, *roles), headers=once(name)).json()["id"]
        for name, roles in {
            "a": [("doctor", "C1")],
            "b": [("doctor", "C2")],
            "c": [("doctor", "C1"), ("doctor", "C2")],
        }.items()
    )
    admin = other(client, permissions=(), clinic_id="C1")
    give(client, admin, "clinic_admin", "C1")
    key = client.post("/v1/access/keys", json={"actor_id": theirs, "name": "x"}, headers=once("k")).json()["id"]

    def read(place: str) -> Any:
        return client.get(place, headers=admin)

    foreign, unknown = read(f"/v1/access/actors/{theirs}"), read("/v1/access/actors/nobody")
    seen = {one["id"] for one in read("/v1/access/actors?limit=200").json()["actors"]}
    assert (foreign.status_code, unknown.status_code) == (404, 404)
    assert foreign.json()["problems"] == unknown.json()["problems"]
    assert {ours, both} <= seen
    assert theirs not in seen
    assert key not in {one["id"] for one in read("/v1/access/keys?limit=200").json()["keys"]}
    revoked = client.post(f"/v1/access/keys/{key}/revoke", headers={**admin, **once("k2")})
    unknown_key = client.post("/v1/access/keys/nothing/revoke", headers={**admin, **once("k3")})
    assert revoked.json()["problems"] == unknown_key.json()["problems"]
    assert revoked.status_code == 404
    # Known to both clinics' people, and above each of them alone.
    body = as_edit(read(f"/v1/access/actors/{both}").json(), is_active=False)
    edited = client.put(f"/v1/access/actors/{both}", json=body, headers={**admin, "If-Match": '"1"'})
    assert edited.status_code == 403


def test_somebody_who_is_shut_out_is_out_at_once_and_back_when_let_in(client: TestClient) -> None:
    made = client.post("/v1/access/actors", json=someone("唐三", ("doctor", "C1")), headers=once("k1")).json()
    key = client.post("/v1/access/keys", json={"actor_id": made["id"], "name": "x"}, headers=once("k2")).json()["key"]
    place = f"/v1/access/actors/{made['id']}"

    def edit(version: int, **changed: Any) -> Any:
        return client.put(place, json=as_edit(made, **changed), headers={"If-Match": f'"{version}"'}).json()

    def status() -> int:
        return client.get("/v1/me", headers=bearer(key)).status_code

    statuses = [status()]
    edit(1, is_active=False)
    statuses.append(status())
    back = edit(2, is_active=True, roles=[{"role_id": "analyst", "clinic_id": "*"}])
    statuses.append(status())

    assert statuses == [200, 401, 200]
    assert back["version"] == 3
    assert client.get("/v1/me", headers=bearer(key)).json()["roles"] == [{"role_id": "analyst", "clinic_id": "*"}]
    row = audited(client)[-1]
    assert row["after"]["name"] == "唐*"
    assert "唐三" not in str([dict(row) for row in audited(client)])


def test_an_employee_and_a_subject_are_one_person(client: TestClient) -> None:
    first = someone("唐三", ("doctor", "C1"), staff_id="S1", oidc_subject="tang")
    assert client.post("/v1/access/actors", json=first, headers=once("k1")).status_code == 201

    second = client.post("/v1/access/actors", json=first, headers=once("k2"))

    assert second.status_code == 409
    assert found(second) == {("identity_taken", "/staff_id"), ("identity_taken", "/oidc_subject")}


def test_the_last_company_admin_stays_whatever_is_tried(client: TestClient) -> None:
    me = actor_of(client, {"Authorization": client.headers["authorization"]})
    place = f"/v1/access/actors/{me}"
    mine = client.get(place).json()
    own_role = client.get(f"/v1/access/roles/{mine['roles'][0]['role_id']}").json()

    tried = [
        client.put(place, json=as_edit(mine, is_active=False), headers={"If-Match": '"1"'}),
        client.put(place, json=as_edit(mine, roles=[]), headers={"If-Match": '"1"'}),
        client.put(
            f"/v1/access/roles/{own_role['id']}", json=a_role("x", "access.manage"), headers={"If-Match": '"1"'}
        ),
    ]

    assert [answer.status_code for answer in tried] == [409, 409, 409]
    assert all(found(answer) == {("last_company_admin", "")} for answer in tried)
    assert audited(client) == []


def test_two_admins_who_remove_each_other_at_once_do_not_both_succeed(client: TestClient) -> None:
    mine = {"Authorization": client.headers["authorization"]}
    theirs = other(client)
    people = [(mine, actor_of(client, theirs)), (theirs, actor_of(client, mine))]
    bodies = {target: as_edit(client.get(f"/v1/access/actors/{target}").json(), roles=[]) for _, target in people}

    def remove(who: tuple[dict[str, str], str]) -> int:
        headers, target = {**who[0], "If-Match": '"1"'}, who[1]
        return client.put(f"/v1/access/actors/{target}", json=bodies[target], headers=headers).status_code

    statuses = at_once(remove, people)

    # The slower one was let in before it lost its roles, and then finds itself the last, or was not let in any more.
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 403, 409}


def test_pages_of_people_and_keys_hold_everybody_once(client: TestClient) -> None:
    for _ in range(4):
        other(client)

    for kind in ("actors", "keys"):
        seen: list[str] = []
        after = ""
        while True:
            page = client.get(f"/v1/access/{kind}?limit=2{after}").json()
            seen += [row["id"] for row in page[kind]]
            if page["next_after"] is None:
                break
            after = f"&after={page['next_after']}"
        assert len(seen) == len(set(seen)) == 5


def test_me_says_what_the_key_in_use_allows(make_client: MakeClient) -> None:
    scope = {ScopeChannel.PATIENT: Level.CLINIC, ScopeChannel.LEAD: Level.OWN}
    client = make_client(
        permissions=("customer.view", "audit.view"), clinic_id="C1", staff_id="S1", data_scope=scope,
        scopes=frozenset({"customer.view"}),
    )  # fmt: skip

    me = client.get("/v1/me").json()

    assert me["permissions"] == ["customer.view"]
    assert me["staff_id"] == "S1"
    assert me["customers"] == [
        {"channel": "lead", "level": "own", "clinic_id": "C1"},
        {"channel": "patient", "level": "clinic", "clinic_id": "C1"},
    ]
    assert client.get("/v1/access/permissions").status_code == 403
