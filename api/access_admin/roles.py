"""What the role routes do, each inside one transaction."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from api.access.actors import Actor
from api.access_admin import repository
from api.access_admin.rules import (
    OTHERS_ABOVE,
    exceeds_yours,
    require_admins,
    require_free_names,
    require_role_within,
)
from api.access_admin.schemas import Role, RoleInput
from api.audit.log import Entry, append
from api.caller import Caller
from api.errors import ConflictError, NotFoundError
from api.versions import require_changed, require_version
from segment_engine.problems import Problem

NO_ROLE = Problem("not_found", "/path/role_id", "角色不存在", "There is no such role.")
BUILTIN = Problem("builtin_role", "", "内置角色可以修改,不能删除", "A builtin role can be edited, not deleted.")


def create_role(connection: Connection, giver: Actor, caller: Caller, body: RoleInput, *, now: datetime) -> Role:
    """A new role."""
    repository.lock_access(connection)
    values = body.model_dump(mode="json")
    require_role_within(giver, body.permissions, values["data_scope"], exceeds_yours("/permissions"))
    require_free_names(connection, values, besides=None)
    role = repository.insert_role(connection, values, now=now)
    append(connection, caller, Entry("role.create", "role", role["id"], after=values), now=now)
    return Role.model_validate(role)


def edit_role(
    connection: Connection,
    giver: Actor,
    caller: Caller,
    role_id: str,
    if_match: str | None,
    body: RoleInput,
    *,
    now: datetime,
) -> Role:
    """The role as the body says, for everybody who has it from this moment on."""
    repository.lock_access(connection)
    before = _role(connection, role_id)
    version = require_version(before["version"], if_match)
    values = body.model_dump(mode="json")
    require_role_within(giver, before["permissions"], before["data_scope"], OTHERS_ABOVE)
    require_role_within(giver, body.permissions, values["data_scope"], exceeds_yours("/permissions"))
    require_free_names(connection, values, besides=role_id)
    admins = repository.company_admins(connection)
    require_changed(repository.update_role(connection, role_id, version, values, now=now))
    require_admins(connection, admins)
    entry = Entry("role.edit", "role", role_id, before={name: before[name] for name in values}, after=values)
    append(connection, caller, entry, now=now)
    return find_role(connection, role_id)


def delete_role(
    connection: Connection, giver: Actor, caller: Caller, role_id: str, if_match: str | None, *, now: datetime
) -> None:
    """The role goes, when nobody has it."""
    repository.lock_access(connection)
    before = _role(connection, role_id)
    version = require_version(before["version"], if_match)
    require_role_within(giver, before["permissions"], before["data_scope"], OTHERS_ABOVE)
    if before["is_builtin"]:
        raise ConflictError(BUILTIN)
    given = repository.holders(connection, role_id)
    if given:
        raise ConflictError(
            Problem("role_in_use", "", f"该角色仍被使用 {given} 次", f"The role is still given {given} times.")
        )
    require_changed(repository.delete_role(connection, role_id, version))
    told = {name: before[name] for name in ("name_zh", "name_en", "permissions", "data_scope")}
    append(connection, caller, Entry("role.delete", "role", role_id, before=told), now=now)


def find_role(connection: Connection, role_id: str) -> Role:
    """A role; raises NotFoundError."""
    return Role.model_validate(_role(connection, role_id))


def _role(connection: Connection, role_id: str) -> dict[str, Any]:
    role = repository.one_role(connection, role_id)
    if role is None:
        raise NotFoundError(NO_ROLE)
    return role
