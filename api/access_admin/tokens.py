"""Keys that an operator makes, lists and revokes from the command line: no caller whose permissions would be asked.

Printing belongs to `api.commands`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from api.access.actors import EVERY_CLINIC
from api.access.keys import NewKey, make_key
from api.access.permissions import Permission
from api.access_admin import repository
from api.audit.log import Entry, append
from api.caller import system_caller
from api.storage.tables.access import actor

COMMAND = system_caller("cdp token")
DEMO = "demo"


class TokenRefusedError(Exception):
    """The token cannot be made or revoked as asked; the message says why, in both languages."""


@dataclass(frozen=True, slots=True)
class Order:
    """Whose key, with which roles at which clinics, narrowed how, for how long."""

    role_ids: Sequence[str] = ()
    clinic_ids: Sequence[str] = (EVERY_CLINIC,)
    staff_id: str | None = None
    name: str | None = None
    scopes: Collection[str] | None = None
    lifetime: timedelta | None = None


def issue_key(connection: Connection, order: Order, *, now: datetime) -> NewKey:
    """A key of the staff member, who is made known when new, or of a new machine client; raises TokenRefusedError."""
    repository.lock_access(connection)
    _check(connection, order)
    owner = _owner(connection, order, now=now)
    name = order.name or "-".join(order.role_ids) or "key"
    made = make_key(
        connection,
        actor_id=owner,
        name=name,
        scopes=None if order.scopes is None else frozenset(order.scopes),
        expires_at=None if order.lifetime is None else now + order.lifetime,
        created_by=COMMAND.key,
        now=now,
    )
    told = {"actor_id": owner, "name": name, "roles": list(order.role_ids), "clinics": list(order.clinic_ids)}
    append(connection, COMMAND, Entry("key.create", "key", made.id, after=told), now=now)
    return made


def issue_demo_key(connection: Connection, *, now: datetime) -> NewKey:
    """A marketer's key for a look around; the ones of former starts are revoked."""
    clients = select(actor.c.id).where(actor.c.name == DEMO, actor.c.kind == "client")
    for row in connection.execute(clients).all():
        for key in _keys(connection, str(row.id)):
            repository.revoke_key(connection, key["id"], now=now)
    return issue_key(connection, Order(role_ids=("marketer",), name=DEMO, lifetime=timedelta(days=30)), now=now)


def listed_keys(connection: Connection) -> list[dict[str, Any]]:
    """Every key with its `owner`: the actor with name and roles."""
    everywhere = frozenset({EVERY_CLINIC})
    actors = repository.page_of_actors(connection, after=None, limit=_ALL, clinics=everywhere)
    owners = {owner["id"]: owner for owner in actors}
    keys = repository.page_of_keys(connection, actor_id=None, after=None, limit=_ALL, clinics=everywhere)
    return sorted(({**key, "owner": owners[key["actor_id"]]} for key in keys), key=lambda key: key["created_at"])


def revoke(connection: Connection, key_id: str, *, now: datetime) -> None:
    """The key lets nobody in any more; raises TokenRefusedError when there is none, or none that still did."""
    if repository.revoke_key(connection, key_id, now=now) == 0:
        raise TokenRefusedError(f"no key {key_id} that is not revoked yet / 没有未撤销的密钥 {key_id}")
    append(connection, COMMAND, Entry("key.revoke", "key", key_id), now=now)


_ALL = 1_000_000


def _check(connection: Connection, order: Order) -> None:
    known = {role["id"] for role in repository.all_roles(connection)}
    unknown = [role_id for role_id in order.role_ids if role_id not in known]
    if unknown:
        roles = ", ".join(sorted(known))
        raise TokenRefusedError(f"no such role {', '.join(unknown)}; there are / 角色不存在,现有: {roles}")
    wrong = [scope for scope in order.scopes or () if scope not in set(Permission)]
    if wrong:
        points = ", ".join(Permission)
        raise TokenRefusedError(f"no such permission {', '.join(wrong)}; there are / 权限点不存在,现有: {points}")


def _owner(connection: Connection, order: Order, *, now: datetime) -> str:
    given = {(role_id, clinic_id) for role_id in order.role_ids for clinic_id in order.clinic_ids}
    found = None
    if order.staff_id is not None:
        found = connection.execute(
            select(actor.c.id, actor.c.version).where(actor.c.staff_id == order.staff_id)
        ).first()
    if found is None:
        if not given:
            raise TokenRefusedError("nobody with this staff id is known: name a --role / 尚无此员工账号,请指定 --role")
        values = {
            "kind": "client" if order.staff_id is None else "staff",
            "name": order.name or order.staff_id or "-".join(order.role_ids),
            "staff_id": order.staff_id,
            "oidc_subject": None,
            "is_active": True,
        }
        return str(repository.insert_actor(connection, values, given, now=now)["id"])
    owner = repository.one_actor(connection, found.id, clinics=frozenset({EVERY_CLINIC}))
    assert owner is not None, "it was found a moment ago, in this transaction"
    if not owner["is_active"]:
        raise TokenRefusedError("this person may not come in any more / 该账号已停用")
    held = {(role["role_id"], role["clinic_id"]) for role in owner["roles"]}
    if not given <= held:
        repository.give_roles(connection, found.id, held | given)
        repository.update_actor(connection, found.id, found.version, {}, now=now)
    return str(found.id)


def _keys(connection: Connection, owner: str) -> list[dict[str, Any]]:
    everywhere = frozenset({EVERY_CLINIC})
    return repository.page_of_keys(connection, actor_id=owner, after=None, limit=_ALL, clinics=everywhere)
