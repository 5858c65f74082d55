"""What the routes of staff and machine clients do, each inside one transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from api.access.actors import Actor, Grant
from api.access.masking import mask_name
from api.access.permissions import Permission
from api.access_admin import repository
from api.access_admin.repository import GIVEN
from api.access_admin.rules import require_admins, require_free_identity, require_known_roles, require_within
from api.access_admin.schemas import ActorInput, ActorOut, GivenRole, NewActor
from api.audit.log import Entry, append
from api.caller import Caller
from api.errors import NotFoundError
from api.versions import require_changed, require_version
from segment_engine.problems import Problem

NO_ACTOR = Problem("not_found", "/path/actor_id", "账号不存在", "There is no such actor.")


def known_clinics(actor: Actor) -> frozenset[str]:
    """The clinics whose people the actor may see."""
    return actor.clinics(Permission.ACCESS_VIEW) | actor.clinics(Permission.ACCESS_MANAGE)


def create_actor(connection: Connection, giver: Actor, caller: Caller, body: NewActor, *, now: datetime) -> ActorOut:
    """Somebody new, with roles."""
    repository.lock_access(connection)
    values = {**body.model_dump(exclude={"roles"}), "is_active": True}
    roles = _given(body.roles)
    require_known_roles(connection, giver, roles)
    require_free_identity(connection, values, besides=None)
    actor = repository.insert_actor(connection, values, roles, now=now)
    append(connection, caller, Entry("actor.create", "actor", actor["id"], after=_told(actor)), now=now)
    return ActorOut.model_validate(actor)


def edit_actor(
    connection: Connection,
    giver: Actor,
    caller: Caller,
    actor_id: str,
    if_match: str | None,
    body: ActorInput,
    *,
    now: datetime,
) -> ActorOut:
    """Somebody as the body says, from this moment on."""
    repository.lock_access(connection)
    before = find_actor(connection, giver, actor_id)
    version = require_version(before["version"], if_match)
    require_within(giver, grants_of_actor(connection, before))
    values = body.model_dump(exclude={"roles"})
    roles = _given(body.roles)
    require_known_roles(connection, giver, roles)
    require_free_identity(connection, values, besides=actor_id)
    admins = repository.company_admins(connection)
    require_changed(repository.update_actor(connection, actor_id, version, values, now=now))
    repository.give_roles(connection, actor_id, roles)
    require_admins(connection, admins)
    after = {**before, **values, "version": version + 1, "updated_at": now, "roles": repository.as_records(roles)}
    entry = Entry("actor.edit", "actor", actor_id, before=_told(before), after=_told(after))
    append(connection, caller, entry, now=now)
    return ActorOut.model_validate(after)


def find_actor(connection: Connection, viewer: Actor, actor_id: str, problem: Problem = NO_ACTOR) -> dict[str, Any]:
    """An actor that the viewer may know of; raises NotFoundError."""
    actor = repository.one_actor(connection, actor_id, clinics=known_clinics(viewer))
    if actor is None:
        raise NotFoundError(problem)
    return actor


def grants_of_actor(connection: Connection, actor: Mapping[str, Any]) -> list[Grant]:
    """What the actor's roles give."""
    given = [(role["role_id"], role["clinic_id"]) for role in actor["roles"]]
    return list(repository.grants_of(connection, given).values())


def _given(roles: list[GivenRole]) -> list[GIVEN]:
    return [(role.role_id, role.clinic_id) for role in roles]


def _told(actor: Mapping[str, Any]) -> dict[str, Any]:
    """What the audit log keeps: no name in full, and that there is a subject, not which."""
    return {
        "kind": actor["kind"],
        "name": mask_name(actor["name"]),
        "staff_id": actor["staff_id"],
        "has_oidc_subject": actor["oidc_subject"] is not None,
        "is_active": actor["is_active"],
        "roles": actor["roles"],
    }
