"""Shapes of the access routes: what comes in, what goes out."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from api.access.actors import Level, ScopeChannel
from api.access.permissions import ALL, Permission
from api.shapes import Choice, Input, Moment, QueryInt, Text

MAX_PAGE = 200
POINTS = (ALL, *Permission)

Name = Annotated[str, Text(1, 50)]
Identifier = Annotated[str, Text(1, 64)]


def _point(text: str) -> str:
    if text not in POINTS:
        raise PydanticCustomError("unknown_permission", "There is no such permission; GET /v1/access/permissions")
    return text


Point = Annotated[str, AfterValidator(_point), Field(json_schema_extra={"enum": list(POINTS)})]
Points = Annotated[list[Point], Field(max_length=len(POINTS)), AfterValidator(lambda points: sorted(set(points)))]


class PermissionPoint(BaseModel):
    """One permission point (权限点)."""

    id: str
    name_zh: str
    name_en: str


class PermissionCatalogue(BaseModel):
    """Every permission point, and how far a role's data permission can reach."""

    permissions: list[PermissionPoint]
    channels: list[ScopeChannel]
    levels: list[Level]


class DataScope(Input):
    """Whose customers a role reaches, per channel (数据权限); what is not named is nobody's."""

    patient: Choice[Level] = Level.NONE
    official_account: Choice[Level] = Level.NONE
    mini_program: Choice[Level] = Level.NONE
    wecom: Choice[Level] = Level.NONE
    lead: Choice[Level] = Level.NONE


class RoleInput(Input):
    """A role as it should be."""

    name_zh: Name
    name_en: Name
    permissions: Annotated[Points, Field(description="Permission points; `*` is all of them / 权限点")]
    data_scope: Annotated[DataScope, Field(description="Whose customers, per channel / 数据权限")]


class Role(BaseModel):
    """A role as it is; its version is also its ETag."""

    id: str
    name_zh: str
    name_en: str
    is_builtin: bool
    permissions: list[str]
    data_scope: dict[ScopeChannel, Level]
    version: int
    created_at: datetime
    updated_at: datetime


class Roles(BaseModel):
    """All roles."""

    roles: list[Role]


class GivenRole(Input):
    """A role at a clinic; `*` is headquarters, that is every clinic."""

    role_id: Identifier
    clinic_id: Identifier


GivenRoles = Annotated[list[GivenRole], Field(max_length=200, description="Roles at clinics / 在各机构的角色")]


class NewActor(Input):
    """A staff member or machine client to be made known."""

    kind: Literal["staff", "client"]
    name: Name
    staff_id: Annotated[Identifier | None, Field(description="Employee of the clinic software / 员工编号")] = None
    oidc_subject: Annotated[
        Annotated[str, Text(1, 255)] | None,
        Field(description="Subject at the identity provider / 统一身份认证的用户标识"),
    ] = None
    roles: GivenRoles = Field(default_factory=list)


class ActorInput(Input):
    """Somebody as they should be; inactive people cannot come in."""

    name: Name
    staff_id: Identifier | None
    oidc_subject: Annotated[str, Text(1, 255)] | None
    is_active: bool
    roles: GivenRoles


class ActorRole(BaseModel):
    """A role at a clinic, as it is."""

    role_id: str
    clinic_id: str


class ActorOut(BaseModel):
    """Somebody as they are; the version is also the ETag."""

    id: str
    kind: str
    name: str
    staff_id: str | None
    oidc_subject: str | None
    is_active: bool
    roles: list[ActorRole]
    version: int
    created_at: datetime
    updated_at: datetime


class PageQuery(Input):
    """A page of a list in the order of ids."""

    limit: Annotated[int, QueryInt(1, MAX_PAGE), Field(description="Rows per page / 每页条数")] = 50
    after: Annotated[Identifier | None, Field(description="`next_after` of the page before / 上一页返回的位置")] = None


class KeyQuery(PageQuery):
    """A page of keys."""

    actor_id: Annotated[Identifier | None, Field(description="Only keys of this actor / 仅该账号的密钥")] = None


class ActorPage(BaseModel):
    """One page of people and clients."""

    actors: list[ActorOut]
    next_after: str | None


class NewKeyInput(Input):
    """A key to be made."""

    actor_id: Identifier
    name: Annotated[Name, Field(description="What it is for / 用途")]
    scopes: Annotated[
        Annotated[list[Choice[Permission]], Field(min_length=1, max_length=len(Permission))] | None,
        Field(description="Only these permissions; null for all of the actor's / 限定权限点"),
    ] = None
    expires_at: Annotated[Moment | None, Field(description="null for never / 过期时间,空为不过期")] = None


class Key(BaseModel):
    """A key as it is kept: without its secret."""

    id: str
    actor_id: str
    name: str
    scopes: list[str] | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class MadeKey(Key):
    """A key just made; a repeated request gets `key` null, since the secret is kept nowhere."""

    key: str | None = Field(description="Shown once, never again / 仅显示一次")


class KeyPage(BaseModel):
    """One page of keys."""

    keys: list[Key]
    next_after: str | None


class Reached(BaseModel):
    """Customers of one channel whom the caller may view."""

    channel: ScopeChannel
    level: Level
    clinic_id: str | None


class Me(BaseModel):
    """The caller, and what the credential in use allows."""

    id: str
    kind: str
    name: str
    staff_id: str | None
    permissions: list[Permission]
    roles: list[ActorRole]
    customers: list[Reached]
