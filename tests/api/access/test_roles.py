"""Roles over the API, on both stores: what is in them, who may edit them, and how edits meet."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from api.access.actors import Level, ScopeChannel
from api.access.builtin_roles import BUILTIN_ROLES, ensure_builtin_roles
from api.access.permissions import Permission
from api.clock import now
from api.storage.tables.access import role
from tests.api.access.people import MANAGES, a_role, actor_of, audited, once, other, someone, store_of
from tests.api.conftest import MakeClient
from tests.api.probe import found
from tests.at_once import at_once


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

    def edit(number: int) -> int:
        return client.put(place, json=a_role(f"回访{number}"), headers={"If-Match": '"1"'}).status_code

    statuses = at_once(edit, range(6))

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
