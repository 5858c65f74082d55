"""The one guard in front of every route: who is asking, and does the route let them in. Absent is denied.

@router.get("/v1/jobs/{job_id}")
@requires(Permission.CUSTOMER_VIEW)
def read_job(job_id: str, actor: CurrentActor) -> Job: ...
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from fastapi.security.utils import get_authorization_scheme_param

from api.access.actors import EVERY_CLINIC, Actor
from api.access.credentials import Credentials
from api.access.permissions import LABELS, Permission
from api.clock import now
from api.edge.rate_limit import limit
from api.edge.routes import matched_route
from api.errors import NotAuthenticatedError, NotPermittedError
from segment_engine.problems import Problem

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
MARK = "__cdp_access__"

NOT_AUTHENTICATED = Problem(
    "not_authenticated",
    "/header/Authorization",
    "请先登录:缺少有效的访问凭证,或凭证已过期、已撤销",
    "Send a valid API key or token as `Authorization: Bearer …`; this one is missing, wrong, expired or revoked.",
)
NOT_DECLARED = Problem("not_permitted", "", "该接口未声明权限", "This route declares no permission.")
STAFF_ONLY = Problem("staff_only", "", "该接口仅供员工使用", "This route is for staff and machine clients.")
HEADQUARTERS_ONLY = Problem(
    "headquarters_only", "", "该接口仅供总部账号使用", "This is for those who hold the permission at headquarters."
)
EVERY_CUSTOMER_ONLY = Problem(
    "every_customer_only",
    "",
    "该接口仅供数据权限覆盖全部客户的账号使用",
    "This is for those who hold the permission for every customer of every channel.",
)
PATIENTS_ONLY = Problem("patients_only", "", "该接口仅供患者使用", "This route is for patients.")


@dataclass(frozen=True, slots=True)
class Access:
    """What a route declares: open to everybody, to patients, to any known staff, or to holders of a permission."""

    public: bool = False
    patients: bool = False
    permission: Permission | None = None


def requires(permission: Permission) -> Callable[[Endpoint], Endpoint]:
    """The route is for staff and machine clients with this permission."""
    return _declare(Access(permission=permission))


def for_staff(endpoint: Endpoint) -> Endpoint:
    """The route is for any known staff member or machine client: it answers only about their own things."""
    return _declare(Access())(endpoint)


def for_patients(endpoint: Endpoint) -> Endpoint:
    """The route is for patients, about themselves and whom they act for."""
    return _declare(Access(patients=True))(endpoint)


def public(endpoint: Endpoint) -> Endpoint:
    """The route is open: it shows nothing of anybody, or the request itself carries the proof."""
    return _declare(Access(public=True))(endpoint)


def access_of(endpoint: Callable[..., Any]) -> Access | None:
    """What the route declares; None when it forgot to, and then nobody gets in."""
    return getattr(endpoint, MARK, None)


def _declare(access: Access) -> Callable[[Endpoint], Endpoint]:
    def mark(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, MARK, access)
        return endpoint

    return mark


async def guard(request: Request) -> None:
    """Let the request pass, or raise NotAuthenticatedError or NotPermittedError; the actor is in `request.state`."""
    route = matched_route(request.scope)
    access = None if route is None else access_of(route.endpoint)
    if access is None:
        raise NotPermittedError(NOT_DECLARED)
    if access.public:
        return
    actor = await _actor(request)
    if actor is None:
        raise NotAuthenticatedError(NOT_AUTHENTICATED)
    request.state.cdp_actor = actor
    request.state.actor = f"{actor.kind}:{actor.id}"
    if actor.kind == "patient":
        rate = request.app.state.settings.rate_limit_per_patient
        limit(request, request.state.actor, rate=rate, burst=max(1.0, 2 * rate))
    if access.patients != (actor.kind == "patient"):
        raise NotPermittedError(PATIENTS_ONLY if access.patients else STAFF_ONLY)
    if access.permission is not None and not actor.may(access.permission):
        raise NotPermittedError(missing(access.permission))


def require_headquarters(actor: Actor, permission: Permission) -> None:
    """For what cannot be told apart by clinic; raises NotPermittedError for who holds the permission elsewhere only."""
    if EVERY_CLINIC not in actor.clinics(permission):
        raise NotPermittedError(HEADQUARTERS_ONLY)


def require_everybody(actor: Actor, permission: Permission) -> None:
    """For what may concern any customer; raises NotPermittedError for who reaches only some of them."""
    if not actor.reaches_everybody(permission):
        raise NotPermittedError(EVERY_CUSTOMER_ONLY)


def missing(permission: Permission) -> Problem:
    """The problem of a caller without this permission."""
    zh, en = LABELS[permission]
    return Problem("not_permitted", "", f"没有权限:{zh}", f"The permission `{permission}` is needed: {en}.")


async def current_actor(request: Request) -> Actor:
    """Who is asking; only for routes that are not public."""
    return actor_of(request)


def actor_of(request: Request) -> Actor:
    """Who is asking, once the guard let them pass."""
    actor: Actor = request.state.cdp_actor
    return actor


CurrentActor = Annotated[Actor, Depends(current_actor)]


async def _actor(request: Request) -> Actor | None:
    credentials: Credentials = request.app.state.credentials
    scheme, text = get_authorization_scheme_param(request.headers.get("Authorization"))
    if scheme.lower() != "bearer" or not text:
        return None
    return await credentials.actor(text, now=now())
