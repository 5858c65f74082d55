"""What the key routes do, each inside one transaction."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection

from api.access.actors import Actor, Grant
from api.access.guard import require_headquarters
from api.access.keys import NewKey, make_key
from api.access.permissions import Permission
from api.access_admin import repository
from api.access_admin.people import find_actor, grants_of_actor, known_clinics
from api.access_admin.rules import exceeds_yours, require_within
from api.access_admin.schemas import Key, NewKeyInput
from api.audit.log import Entry, append
from api.caller import Caller
from api.errors import ConflictError, InvalidError, NotFoundError, NotPermittedError
from segment_engine.problems import Problem

NO_KEY = Problem("not_found", "/path/key_id", "密钥不存在", "There is no such key.")
REVOKED = Problem("key_revoked", "", "该密钥已撤销", "The key is revoked already.")
PAST = Problem("expiry_in_the_past", "/expires_at", "过期时间应晚于现在", "A key must expire later than now.")
UNKNOWN_OWNER = Problem("unknown_actor", "/actor_id", "账号不存在", "There is no such actor.")


def create_key(
    connection: Connection, giver: Actor, caller: Caller, body: NewKeyInput, *, now: datetime
) -> tuple[Key, NewKey]:
    """A new key: as it is kept, and as it is shown once. Its effect is no more than the giver's own permissions.

    A colleague's is made by headquarters only: whoever makes it has seen it, and it reaches what the colleague reaches,
    also at clinics that they are given later. Programs of a clinic get theirs from those who manage the clinic.
    """
    repository.lock_access(connection)
    if body.expires_at is not None and body.expires_at <= now:
        raise InvalidError(PAST)
    owner = repository.one_actor(connection, body.actor_id, clinics=known_clinics(giver))
    if owner is None:
        raise InvalidError(UNKNOWN_OWNER)
    if owner["kind"] == "staff" and owner["id"] != giver.id:
        require_headquarters(giver, Permission.ACCESS_MANAGE)
    grants = grants_of_actor(connection, owner)
    require_within(giver, grants, body.scopes)
    scopes = _narrowed(giver, body, grants)
    made = make_key(
        connection,
        actor_id=body.actor_id,
        name=body.name,
        scopes=scopes,
        expires_at=body.expires_at,
        created_by=caller.key,
        now=now,
    )
    key = find_key(connection, giver, made.id)
    append(connection, caller, Entry("key.create", "key", made.id, after=_told(key)), now=now)
    return key, made


def _narrowed(giver: Actor, body: NewKeyInput, grants: Iterable[Grant]) -> frozenset[str] | None:
    """What the key may do; one that is made for a colleague does not grow when they are given more."""
    if body.scopes is not None:
        if not all(giver.may(scope) for scope in body.scopes):
            raise NotPermittedError(exceeds_yours("/scopes"))
        return frozenset(body.scopes)
    if body.actor_id == giver.id:
        return giver.scopes
    return frozenset(permission for permission in Permission if any(grant.gives(permission) for grant in grants))


def revoke_key(connection: Connection, giver: Actor, caller: Caller, key_id: str, *, now: datetime) -> Key:
    """The key lets nobody in from this moment on."""
    repository.lock_access(connection)
    key = find_key(connection, giver, key_id)
    owner = find_actor(connection, giver, key.actor_id)
    require_within(giver, grants_of_actor(connection, owner), key.scopes)
    if repository.revoke_key(connection, key_id, now=now) == 0:
        raise ConflictError(REVOKED)
    append(connection, caller, Entry("key.revoke", "key", key_id, before=_told(key)), now=now)
    return key.model_copy(update={"revoked_at": now})


def find_key(connection: Connection, viewer: Actor, key_id: str) -> Key:
    """A key of somebody whom the viewer may know of; raises NotFoundError."""
    key = repository.one_key(connection, key_id, clinics=known_clinics(viewer))
    if key is None:
        raise NotFoundError(NO_KEY)
    return Key.model_validate(key)


def _told(key: Key) -> dict[str, object]:
    return key.model_dump(mode="json", include={"actor_id", "name", "scopes", "expires_at"})
