"""`/v1/access` and `/v1/me`: who may do what."""

from typing import Annotated

from fastapi import Path, Query, Response
from sqlalchemy import Connection

from api.access.actors import Level, ScopeChannel
from api.access.guard import CurrentActor, for_staff, requires
from api.access.permissions import LABELS, Permission
from api.access_admin import keys, people, repository, roles
from api.access_admin.schemas import (
    ActorInput,
    ActorOut,
    ActorPage,
    ActorRole,
    Key,
    KeyPage,
    KeyQuery,
    MadeKey,
    Me,
    NewActor,
    NewKeyInput,
    PageQuery,
    PermissionCatalogue,
    PermissionPoint,
    Reached,
    Role,
    RoleInput,
    Roles,
)
from api.clock import now
from api.contract import answers
from api.dependencies import CurrentCaller, CurrentEffects, Store
from api.edge.prefix_router import PrefixRouter
from api.effects import REPLAYED, Reply
from api.shapes import Text
from api.versions import IfMatch, etag

router = PrefixRouter(prefix="/v1/access", tags=["access"])
me = PrefixRouter(prefix="/v1/me", tags=["access"])

Id = Annotated[str, Path(), Text(1, 64)]
EDIT = answers(404, 409, 412, 428)


@me.get("")
@for_staff
def read_me(actor: CurrentActor) -> Me:
    """The caller: roles, permissions of the credential in use, and whose customers they reach / 当前账号."""
    reached = sorted(actor.reaches(Permission.CUSTOMER_VIEW), key=lambda reach: (reach.channel, str(reach.clinic_id)))
    return Me(
        id=actor.id,
        kind=actor.kind,
        name=actor.name,
        staff_id=actor.staff_id,
        permissions=[permission for permission in Permission if actor.may(permission)],
        roles=[ActorRole(role_id=grant.role_id, clinic_id=grant.clinic_id) for grant in actor.grants],
        customers=[Reached(channel=reach.channel, level=reach.level, clinic_id=reach.clinic_id) for reach in reached],
    )


@router.get("/permissions")
@requires(Permission.ACCESS_VIEW)
def list_permissions() -> PermissionCatalogue:
    """Every permission point that roles are made of / 权限点目录."""
    points = [PermissionPoint(id=point, name_zh=zh, name_en=en) for point, (zh, en) in LABELS.items()]
    return PermissionCatalogue(permissions=points, channels=list(ScopeChannel), levels=list(Level))


@router.get("/roles")
@requires(Permission.ACCESS_VIEW)
def list_roles(store: Store) -> Roles:
    """All roles, the builtin ones first / 角色列表."""
    with store.read() as connection:
        return Roles(roles=[Role.model_validate(row) for row in repository.all_roles(connection)])


@router.post("/roles", status_code=201, responses=answers(409), response_model=Role)
@requires(Permission.ACCESS_MANAGE)
async def create_role(body: RoleInput, actor: CurrentActor, effects: CurrentEffects) -> Response:
    """A new role; nobody can put more into it than they hold themselves / 新建角色."""

    def work(connection: Connection) -> Reply:
        role = roles.create_role(connection, actor, effects.caller, body, now=effects.now)
        return Reply(role, 201, {"ETag": etag(role.version), "Location": f"/v1/access/roles/{role.id}"})

    return await effects.once(work)


@router.get("/roles/{role_id}", responses=answers(404))
@requires(Permission.ACCESS_VIEW)
def read_role(role_id: Id, store: Store, response: Response) -> Role:
    """One role, with its ETag / 角色详情."""
    with store.read() as connection:
        role = roles.find_role(connection, role_id)
    response.headers["ETag"] = etag(role.version)
    return role


@router.put("/roles/{role_id}", responses=EDIT)
@requires(Permission.ACCESS_MANAGE)
def edit_role(
    role_id: Id, body: RoleInput, if_match: IfMatch, actor: CurrentActor, caller: CurrentCaller, store: Store,
    response: Response,
) -> Role:  # fmt: skip
    """The whole role anew, for everybody who has it, at once / 修改角色."""
    role = store.write(
        lambda connection: roles.edit_role(connection, actor, caller, role_id, if_match, body, now=now())
    )
    response.headers["ETag"] = etag(role.version)
    return role


@router.delete("/roles/{role_id}", status_code=204, responses=EDIT)
@requires(Permission.ACCESS_MANAGE)
def delete_role(role_id: Id, if_match: IfMatch, actor: CurrentActor, caller: CurrentCaller, store: Store) -> None:
    """A role that nobody has and that is not builtin goes / 删除角色."""
    store.write(lambda connection: roles.delete_role(connection, actor, caller, role_id, if_match, now=now()))


@router.get("/actors")
@requires(Permission.ACCESS_VIEW)
def list_actors(query: Annotated[PageQuery, Query()], actor: CurrentActor, store: Store) -> ActorPage:
    """Staff and machine clients with a role at one of the caller's clinics; headquarters sees all / 账号列表."""
    with store.read() as connection:
        rows = repository.page_of_actors(
            connection, after=query.after, limit=query.limit + 1, clinics=people.known_clinics(actor)
        )
    page = [ActorOut.model_validate(row) for row in rows[: query.limit]]
    return ActorPage(actors=page, next_after=page[-1].id if len(rows) > query.limit else None)


@router.post("/actors", status_code=201, responses=answers(409), response_model=ActorOut)
@requires(Permission.ACCESS_MANAGE)
async def create_actor(body: NewActor, actor: CurrentActor, effects: CurrentEffects) -> Response:
    """A staff member or machine client, with roles at clinics that the caller manages / 新建账号."""

    def work(connection: Connection) -> Reply:
        made = people.create_actor(connection, actor, effects.caller, body, now=effects.now)
        return Reply(made, 201, {"ETag": etag(made.version), "Location": f"/v1/access/actors/{made.id}"})

    return await effects.once(work)


@router.get("/actors/{actor_id}", responses=answers(404))
@requires(Permission.ACCESS_VIEW)
def read_actor(actor_id: Id, actor: CurrentActor, store: Store, response: Response) -> ActorOut:
    """One staff member or machine client, with the ETag / 账号详情."""
    with store.read() as connection:
        found = ActorOut.model_validate(people.find_actor(connection, actor, actor_id))
    response.headers["ETag"] = etag(found.version)
    return found


@router.put("/actors/{actor_id}", responses=EDIT)
@requires(Permission.ACCESS_MANAGE)
def edit_actor(
    actor_id: Id, body: ActorInput, if_match: IfMatch, actor: CurrentActor, caller: CurrentCaller, store: Store,
    response: Response,
) -> ActorOut:  # fmt: skip
    """Name, identity, roles at clinics; `is_active: false` shuts them out at once / 修改账号."""
    edited = store.write(
        lambda connection: people.edit_actor(connection, actor, caller, actor_id, if_match, body, now=now())
    )
    response.headers["ETag"] = etag(edited.version)
    return edited


@router.get("/keys")
@requires(Permission.ACCESS_VIEW)
def list_keys(query: Annotated[KeyQuery, Query()], actor: CurrentActor, store: Store) -> KeyPage:
    """API keys without their secrets; `last_used_at` lags by half a minute / 密钥列表."""
    with store.read() as connection:
        rows = repository.page_of_keys(
            connection,
            actor_id=query.actor_id,
            after=query.after,
            limit=query.limit + 1,
            clinics=people.known_clinics(actor),
        )
    page = [Key.model_validate(row) for row in rows[: query.limit]]
    return KeyPage(keys=page, next_after=page[-1].id if len(rows) > query.limit else None)


@router.post("/keys", status_code=201, response_model=MadeKey)
@requires(Permission.ACCESS_MANAGE)
async def create_key(body: NewKeyInput, actor: CurrentActor, effects: CurrentEffects) -> Response:
    """A new API key, shown this once; a repeated request gets the same answer with `key` null / 新建密钥."""
    shown: list[MadeKey] = []

    def work(connection: Connection) -> Reply:
        key, made = keys.create_key(connection, actor, effects.caller, body, now=effects.now)
        shown[:] = [MadeKey(**key.model_dump(), key=made.text)]
        return Reply(MadeKey(**key.model_dump(), key=None), 201)

    answer = await effects.once(work)
    if REPLAYED in answer.headers:
        return answer
    # The stored answer must not hold the secret; this one, which is sent once, does.
    return Response(shown[0].model_dump_json(), status_code=201, media_type="application/json")


@router.post("/keys/{key_id}/revoke", responses=answers(404, 409), response_model=Key)
@requires(Permission.ACCESS_MANAGE)
async def revoke_key(key_id: Id, actor: CurrentActor, effects: CurrentEffects) -> Response:
    """The key lets nobody in any more, at once / 撤销密钥."""

    def work(connection: Connection) -> Reply:
        return Reply(keys.revoke_key(connection, actor, effects.caller, key_id, now=effects.now))

    return await effects.once(work)
