"""Optimistic versions: an answer names its version (ETag), an edit names the version it was made from (If-Match).

    @router.put("/v1/things/{thing_id}", responses=answers(404, 412, 428))
    def edit(thing_id: str, body: Thing, if_match: IfMatch, store: Store, response: Response) -> ThingOut:
        ...
        version = require_version(row.version, if_match)
        read = (thing.c.id == thing_id, thing.c.version == version)
        changed = connection.execute(update(thing).where(*read).values(..., version=version + 1))
        require_changed(changed.rowcount)
        ...
        response.headers["ETag"] = etag(version + 1)

The check by hand gives a clear answer; the condition in the UPDATE decides between two who edit at once.
"""

from typing import Annotated

from fastapi import Depends, Header

from api.errors import PreconditionFailedError, PreconditionRequiredError
from segment_engine.problems import Problem

HEADER = "If-Match"

MISSING = Problem(
    "if_match_required",
    f"/header/{HEADER}",
    "缺少 If-Match 请求头:请填写读取时返回的 ETag;不接受 *",
    'The If-Match header is missing: send the ETag that you read, such as "3"; `*` is not taken.',
)
STALE = Problem(
    "version_is_stale",
    f"/header/{HEADER}",
    "内容已被他人修改或 ETag 不正确,请重新读取后再修改",
    "This was changed since you read it, or the ETag is none of ours: read it again.",
)


def etag(version: int) -> str:
    """The ETag of a version, a strong one."""
    return f'"{version}"'


def is_unchanged(tag: str, if_none_match: str | None) -> bool:
    """Whether an If-None-Match header names this ETag; proxies may have made it a weak one."""
    if if_none_match is None:
        return False
    told = {one.strip().removeprefix("W/") for one in if_none_match.split(",")}
    return bool(told & {tag, "*"})


async def if_match_header(
    if_match: Annotated[
        str | None, Header(alias=HEADER, description="The ETag of what was read / 读取时返回的 ETag")
    ] = None,
) -> str | None:
    """The header as it was sent; `require_version` says what it must be."""
    return if_match


IfMatch = Annotated[str | None, Depends(if_match_header)]


def require_version(version: int, if_match: str | None) -> int:
    """The version, which is the one that the caller read; else PreconditionRequiredError or PreconditionFailedError.

    `*` would mean "whatever is there now", which is how changes of others get lost, so it is not taken.
    """
    if if_match is None or if_match.strip() == "*":
        raise PreconditionRequiredError(MISSING)
    if if_match.strip() != etag(version):
        raise PreconditionFailedError(STALE)
    return version


def require_changed(rowcount: int) -> None:
    """Raise PreconditionFailedError when the conditional UPDATE or DELETE met no row: somebody else was faster."""
    if rowcount == 0:
        raise PreconditionFailedError(STALE)
