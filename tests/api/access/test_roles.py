"""Roles, people and keys over the API, on both stores."""

import threading
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from api.access.actors import EVERY_CLINIC, Level, ScopeChannel
from api.access.builtin_roles import BUILTIN_ROLES, ensure_builtin_roles
from api.access.permissions import Permission
from api.audit.verify import verify
from api.clock import now
from api.storage.tables.access import role
from api.storage.tables.audit import audit_log
from api.storage.tables.idempotency import idempotency
from tests.api.access.people import actor_of, give, key_id, once, other, store_of
from tests.api.conftest import MakeClient, bearer
from tests.api.probe import found

SCOPE = {"patient": "all", "official_account": "none", "mini_program": "none", "wecom": "none", "lead": "clinic"}


def a_role(name: str, *permissions: str, **scope: str) -> dict[str, Any]:
    return {"name_zh": name, "name_en": f"{name} en", "permissions": list(permissions), "data_scope": scope or SCOPE}


def someone(name: str, *roles: tuple[str, str], **more: Any) -> dict[str, Any]:
    given = [{"role_id": role_id, "clinic_id": clinic_id} for role_id, clinic_id in roles]
    return {"kind": "staff", "name": name, "roles": given, **more}


def as_edit(actor: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {name: actor[name] for name in ("name", "staff_id", "oidc_subject", "is_active", "roles")} | changed


def audited(client: TestClient) -> list[Any]:
    with store_of(client).read() as connection:
        assert verify(connection).ok
        return list(connection.execute(select(audit_log).order_by(audit_log.c.seq)).mappings())


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    return make_client()


def test_the_builtin_roles_are_there_from_the_start(client: TestClient) -> None:
    roles = client.get("/v1/access/roles").json()["roles"]

    builtin = {role["name_zh"] for role in roles if role["is_builtin"]}
    assert builtin == {
        "公司管理员", "诊所管理员", "医生", "护士", "牙医助理", "咨询师", "网电咨询师", "客服", "前台", "市场",
        "数据分析师",
    }  # fmt: skip


def test_administrators_have_every_point_and_nobody_else_manages_access() -> None:
    everything = {one.id for one in BUILTIN_ROLES if "*" in one.permissions}

    assert everything == {"company_admin", "clinic_admin"}
    assert not any(
        {Permission.ACCESS_MANAGE, Permission.CUSTOMER_ERASE, Permission.AUDIT_VIEW} & set(one.permissions)
        for one in BUILTIN_ROLES
    )
    assert [one.id for one in BUILTIN_ROLES if Permission.CUSTOMER_PHONE_VIEW in one.permissions] == [
        "consultant", "online_consultant", "customer_service", "receptionist",
    ]  # fmt: skip


def test_an_edited_builtin_role_survives_an_upgrade_and_an_untouched_one_is_brought_up_to_date(
    client: TestClient,
) -> None:
    marketer = client.get("/v1/access/roles/marketer")
    body = a_role("市场部", "customer.view", patient="all")
    client.put("/v1/access/roles/marketer", json=body, headers={"If-Match": marketer.headers["etag"]})

    def work(connection: Any) -> None:
        connection.execute(update(role).where(role.c.id == "nurse").values(permissions=[]))
        ensure_builtin_roles(connection, now())
        ensure_builtin_roles(connection, now())

    store_of(client).write(work)

    assert client.get("/v1/access/roles/marketer").json()["name_zh"] == "市场部"
    assert client.get("/v1/access/roles/nurse").json()["permissions"] != []
    assert [one["is_builtin"] for one in client.get("/v1/access/roles").json()["roles"]].count(True) == 11


def test_a_role_is_made_edited_and_deleted_and_each_is_audited(client: TestClient) -> None:
    body = a_role("回访", "customer.view", "customer.view")

    made = client.post("/v1/access/roles", json=body, headers=once("k1"))
    again = client.post("/v1/access/roles", json=body, headers=once("k1"))
    place = made.headers["location"]
    edited = client.put(place, json=a_role("回访组", "review.view"), headers={"If-Match": made.headers["etag"]})
    read = client.get(place)
    deleted = client.delete(place, headers={"If-Match": read.headers["etag"]})

    assert (made.status_code, edited.status_code, deleted.status_code) == (201, 200, 204)
    assert again.json() == made.json()
    assert made.json()["permissions"] == ["customer.view"]
    assert (made.headers["etag"], edited.headers["etag"]) == ('"1"', '"2"')
    assert read.json() == edited.json()
    assert client.get(place).status_code == 404
    rows = audited(client)
    assert [row["action"] for row in rows] == ["role.create", "role.edit", "role.delete"]
    assert rows[1]["before"]["permissions"] == ["customer.view"]
    assert rows[1]["after"]["permissions"] == ["review.view"]
    assert rows[0]["actor_id"] == actor_of(client, {"Authorization": client.headers["authorization"]})


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        (None, 428, "if_match_required"),
        ("*", 428, "if_match_required"),
        ('"7"', 412, "version_is_stale"),
        ("1", 412, "version_is_stale"),
        ('W/"1"', 412, "version_is_stale"),
        ('"1", "2"', 412, "version_is_stale"),
        ("", 412, "version_is_stale"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_an_edit_names_the_version_it_was_made_from(
    client: TestClient, method: str, header: str | None, status: int, code: str
) -> None:
    place = client.post("/v1/access/roles", json=a_role("回访"), headers=once("k1")).headers["location"]

    answer = client.request(
        method,
        place,
        headers={} if header is None else {"If-Match": header},
        json=a_role("别的") if method == "PUT" else None,
    )

    assert answer.status_code == status
    assert found(answer) == {(code, "/header/If-Match")}
    assert client.get(place).json()["name_zh"] == "回访"


def test_of_edits_made_at_once_from_one_version_exactly_one_wins(client: TestClient) -> None:
    place = client.post("/v1/access/roles", json=a_role("回访"), headers=once("k1")).headers["location"]
    start = threading.Barrier(6)
    statuses: list[int] = []

    def edit(number: int) -> None:
        start.wait()
        answer = client.put(place, json=a_role(f"回访{number}"), headers={"If-Match": '"1"'})
        statuses.append(answer.status_code)

    threads = [threading.Thread(target=edit, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200, 412, 412, 412, 412, 412]
    assert client.get(place).json()["version"] == 2
    assert [row["action"] for row in audited(client)] == ["role.create", "role.edit"]


def test_a_role_that_is_builtin_given_or_called_like_another_is_a_conflict(client: TestClient) -> None:
    doctor = client.get("/v1/access/roles/doctor")
    made = client.post("/v1/access/roles", json=a_role("回访"), headers=once("k1"))
    given = someone("唐三", (made.json()["id"], "C1"))
    assert client.post("/v1/access/actors", json=given, headers=once("k2")).status_code == 201

    builtin = client.delete("/v1/access/roles/doctor", headers={"If-Match": doctor.headers["etag"]})
    in_use = client.delete(made.headers["location"], headers={"If-Match": made.headers["etag"]})
    same_name = client.post(
        "/v1/access/roles", json={**a_role("x"), "name_zh": "医生", "name_en": "Doctor"}, headers=once("k3")
    )

    assert (builtin.status_code, in_use.status_code, same_name.status_code) == (409, 409, 409)
    assert found(builtin) == {("builtin_role", "")}
    assert found(in_use) == {("role_in_use", "")}
    assert found(same_name) == {("name_taken", "/name_zh"), ("name_taken", "/name_en")}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"permissions": ["customer.fly"]}, ("unknown_permission", "/permissions/0")),
        ({"permissions": None}, ("list_type", "/permissions")),
        ({"data_scope": {"patient": "everybody"}}, ("enum", "/data_scope/patient")),
        ({"data_scope": {"fax": "all"}}, ("extra_forbidden", "/data_scope/fax")),
        ({"name_zh": " "}, ("string_too_short", "/name_zh")),
        ({"name_zh": "x" * 51}, ("string_too_long", "/name_zh")),
        ({"is_builtin": True}, ("extra_forbidden", "/is_builtin")),
        ({"version": 9}, ("extra_forbidden", "/version")),
    ],
)
def test_a_role_that_makes_no_sense_is_refused(
    client: TestClient, changed: dict[str, Any], problem: tuple[str, str]
) -> None:
    answer = client.post("/v1/access/roles", json={**a_role("回访"), **changed}, headers=once("k"))

    assert answer.status_code == 422
    assert found(answer) == {problem}


MANAGES = ("access.manage", "access.view", "customer.view")


@pytest.mark.parametrize(
    ("who", "body", "allowed"),
    [
        ({"permissions": MANAGES}, a_role("r", "customer.view"), True),
        ({"permissions": MANAGES}, a_role("r", "customer.view", "customer.phone.view"), False),
        ({"permissions": MANAGES}, a_role("r", "*"), False),
        # Every point by name is not everything: later versions add points.
        ({"permissions": tuple(Permission)}, a_role("r", "*"), False),
        ({"permissions": MANAGES, "clinic_id": "C1"}, a_role("r", "customer.view"), False),
        (
            {"permissions": MANAGES, "data_scope": {ScopeChannel.PATIENT: Level.OWN}},
            a_role("r", "customer.view"),
            False,
        ),
        (
            {"permissions": MANAGES, "data_scope": {ScopeChannel.PATIENT: Level.CLINIC}},
            a_role("r", "customer.view", patient="all"),
            True,  # the clinic of headquarters is every clinic
        ),
        ({"permissions": MANAGES, "scopes": frozenset({"access.manage"})}, a_role("r", "customer.view"), False),
        ({"permissions": MANAGES, "scopes": frozenset({"access.manage"})}, a_role("r", "access.manage"), True),
    ],
)
def test_nobody_puts_more_into_a_role_than_they_hold(
    make_client: MakeClient, who: dict[str, Any], body: dict[str, Any], allowed: bool
) -> None:
    client = make_client(**who)

    answer = client.post("/v1/access/roles", json=body, headers=once("k"))

    assert answer.status_code == (201 if allowed else 403)
    assert allowed or found(answer) == {("exceeds_your_permissions", "/permissions")}


def test_nobody_edits_or_deletes_a_role_above_their_own(client: TestClient) -> None:
    weak = other(client, permissions=MANAGES)
    match = {"If-Match": '"1"'}

    edited = client.put("/v1/access/roles/company_admin", json=a_role("x"), headers={**weak, **match})
    deleted = client.delete("/v1/access/roles/company_admin", headers={**weak, **match})

    assert (edited.status_code, deleted.status_code) == (403, 403)
    assert found(edited) == {("exceeds_your_permissions", "")}


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
    start = threading.Barrier(2)
    statuses: list[int] = []

    def remove(headers: dict[str, str], target: str) -> None:
        start.wait()
        answer = client.put(f"/v1/access/actors/{target}", json=bodies[target], headers={**headers, "If-Match": '"1"'})
        statuses.append(answer.status_code)

    threads = [threading.Thread(target=remove, args=who) for who in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # The slower one was let in before it lost its roles, and then finds itself the last, or was not let in any more.
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 403, 409}


def test_a_keys_secret_is_shown_once_and_kept_nowhere(client: TestClient) -> None:
    me = actor_of(client, {"Authorization": client.headers["authorization"]})
    body = {"actor_id": me, "name": "导出", "scopes": ["customer.view"], "expires_at": "2199-01-01T00:00:00Z"}

    made = client.post("/v1/access/keys", json=body, headers=once("k1"))
    again = client.post("/v1/access/keys", json=body, headers=once("k1"))

    secret = made.json()["key"].split("_")[2]
    assert (made.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == {**made.json(), "key": None}
    assert client.get("/v1/me", headers=bearer(made.json()["key"])).json()["permissions"] == ["customer.view"]
    with store_of(client).read() as connection:
        stored = str(connection.execute(select(idempotency)).all())
    assert secret not in stored
    assert secret not in str([dict(row) for row in audited(client)])
    assert "key" not in client.get("/v1/access/keys").json()["keys"][0]


def test_a_key_is_revoked_once_and_at_once(client: TestClient) -> None:
    theirs = other(client, permissions=("customer.view",))

    revoked = client.post(f"/v1/access/keys/{key_id(theirs)}/revoke", headers=once("k1"))
    again = client.post(f"/v1/access/keys/{key_id(theirs)}/revoke", headers=once("k2"))

    assert revoked.status_code == 200
    assert revoked.json()["revoked_at"] is not None
    assert client.get("/v1/me", headers=theirs).status_code == 401
    assert (again.status_code, found(again)) == (409, {("key_revoked", "")})


def test_nobody_makes_a_key_that_may_more_than_they(client: TestClient) -> None:
    me = actor_of(client, {"Authorization": client.headers["authorization"]})
    weak = other(client, permissions=MANAGES)
    narrow = other(client, scopes=frozenset({"access.manage", "access.view"}))

    def make(headers: dict[str, str], owner: str, scopes: list[str] | None) -> Any:
        body = {"actor_id": owner, "name": "x", "scopes": scopes}
        return client.post("/v1/access/keys", json=body, headers={**headers, **once()})

    assert make(weak, me, None).status_code == 403
    assert make(weak, me, ["customer.export"]).status_code == 403
    assert make(weak, me, ["customer.view"]).status_code == 201
    assert make(narrow, actor_of(client, narrow), None).status_code == 403
    assert make(narrow, actor_of(client, narrow), ["access.view"]).status_code == 201
    # Not even what the owner has not got either: they may be given it later.
    junior = other(client, permissions=("dashboard.view",))
    assert make(weak, actor_of(client, junior), ["customer.export"]).status_code == 403


def test_a_key_made_for_a_colleague_does_not_grow_with_them(client: TestClient) -> None:
    junior = actor_of(client, other(client, permissions=("customer.view",)))
    body = {"actor_id": junior, "name": "x", "scopes": None}
    theirs = client.post("/v1/access/keys", json=body, headers=once()).json()["key"]
    me = client.get("/v1/me").json()["id"]
    mine = {**body, "actor_id": me}
    own = client.post("/v1/access/keys", json=mine, headers=once()).json()

    store_of(client).write(
        lambda connection: connection.execute(
            update(role).where(role.c.id == junior.replace("actor-", "role-")).values(permissions=["*"])
        )
    )

    assert client.get("/v1/me", headers=bearer(theirs)).json()["permissions"] == ["customer.view"]
    assert own["scopes"] is None


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"expires_at": "2020-01-01T00:00:00Z"}, ("expiry_in_the_past", "/expires_at")),
        ({"actor_id": "nobody"}, ("unknown_actor", "/actor_id")),
        ({"scopes": []}, ("too_short", "/scopes")),
        ({"scopes": ["*"]}, ("enum", "/scopes/0")),
        ({"key": "cdp_1_1"}, ("extra_forbidden", "/key")),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(
    client: TestClient, changed: dict[str, Any], problem: tuple[str, str]
) -> None:
    me = actor_of(client, {"Authorization": client.headers["authorization"]})

    answer = client.post("/v1/access/keys", json={"actor_id": me, "name": "x", **changed}, headers=once("k"))

    assert answer.status_code == 422
    assert found(answer) == {problem}


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
