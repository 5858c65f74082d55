"""What changes of access may not do: give more than one holds, lock everybody out, take a name twice."""

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Connection

from api.access.actors import EVERY_CLINIC, Actor, Grant
from api.access.holding import exceeds
from api.access.owners import grant_of
from api.access.permissions import Permission
from api.access_admin.repository import GIVEN, company_admins, grants_of, role_names, taken
from api.errors import ConflictError, InvalidError, NotPermittedError
from segment_engine.problems import Problem

LAST_ADMIN = Problem(
    "last_company_admin",
    "",
    "至少需要保留一名有效的公司管理员",
    "Somebody active must stay who may do everything everywhere.",
)
OTHERS_ABOVE = Problem(
    "exceeds_your_permissions",
    "",
    "该账号或角色的权限超出您自己的权限,不能修改",
    "This role or person has permissions or customers that you do not have: you cannot change it.",
)
NO_ROLE = Problem(
    "roles_required",
    "/roles",
    "至少需要一个您所管理机构的角色:没有角色的账号由总部管理",
    "Give at least one role at a clinic of yours: people without roles are for headquarters to manage.",
)


def exceeds_yours(path: str) -> Problem:
    """The problem of giving what one does not hold."""
    return Problem(
        "exceeds_your_permissions",
        path,
        "不能授予您自己没有的权限或数据范围",
        "You cannot give permissions or customers that you do not have yourself.",
    )


def require_role_within(giver: Actor, permissions: Iterable[str], data_scope: dict[str, str], problem: Problem) -> None:
    """A role is the whole chain's: whoever defines it must hold all of it at headquarters; else NotPermittedError."""
    if _above(giver, grant_of("", EVERY_CLINIC, permissions, data_scope)):
        raise NotPermittedError(problem)


def require_within(giver: Actor, grants: Collection[Grant], scopes: Iterable[str] | None = None) -> None:
    """Somebody above oneself, or of another clinic, is not to be changed; raises NotPermittedError.

    Who has no role belongs to no clinic, so only headquarters changes them.
    """
    if any(_above(giver, grant, scopes) for grant in grants) or not (grants or _manages(giver, EVERY_CLINIC)):
        raise NotPermittedError(OTHERS_ABOVE)


def _above(giver: Actor, grant: Grant, scopes: Iterable[str] | None = None) -> bool:
    return not _manages(giver, grant.clinic_id) or exceeds(giver, grant, scopes)


def _manages(giver: Actor, clinic_id: str) -> bool:
    return bool({clinic_id, EVERY_CLINIC} & giver.clinics(Permission.ACCESS_MANAGE))


def require_known_roles(connection: Connection, giver: Actor, roles: list[GIVEN]) -> None:
    """Every role exists (else InvalidError) and is within what the giver holds and manages (else NotPermittedError)."""
    grants = grants_of(connection, roles)
    unknown = [
        Problem("unknown_role", f"/roles/{at}/role_id", "角色不存在", "There is no such role.")
        for at, given in enumerate(roles)
        if given not in grants
    ]
    if unknown:
        raise InvalidError(*unknown)
    above = [exceeds_yours(f"/roles/{at}") for at, given in enumerate(roles) if _above(giver, grants[given])]
    if not roles and not _manages(giver, EVERY_CLINIC):
        above = [NO_ROLE]
    if above:
        raise NotPermittedError(*above)


def require_free_names(connection: Connection, values: dict[str, Any], *, besides: str | None) -> None:
    """No other role is called so, in either language; raises ConflictError."""
    names = role_names(connection, besides=besides)
    problems = [
        Problem("name_taken", f"/{field}", "角色名称已存在", "Another role has this name.")
        for field in ("name_zh", "name_en")
        if values[field] in names
    ]
    if problems:
        raise ConflictError(*problems)


def require_free_identity(connection: Connection, values: dict[str, Any], *, besides: str | None) -> None:
    """No other actor is this employee or subject; raises ConflictError."""
    problems = [
        Problem("identity_taken", f"/{field}", "该标识已属于另一个账号", "Another actor has this identity.")
        for field in ("staff_id", "oidc_subject")
        if values[field] is not None and taken(connection, field, values[field], besides=besides)
    ]
    if problems:
        raise ConflictError(*problems)


def require_admins(connection: Connection, before: int) -> None:
    """After a change: where there was a company administrator there is one still; else ConflictError."""
    if before and not company_admins(connection):
        raise ConflictError(LAST_ADMIN)
