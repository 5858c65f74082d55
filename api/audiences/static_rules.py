"""What may be done to the members of static tags and segments, and in which words that is refused. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from api.access.permissions import Permission
from api.errors import ConflictError, InvalidError, NotFoundError
from segment_engine.problems import Problem

KindName = Literal["tag", "segment"]
Row = Mapping[str, Any]


class Act(StrEnum):
    """What happens to the customers of a selection."""

    ADD = "add"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Kind:
    """Tags or segments: who may change the members of a static one, and how it is called."""

    name: KindName
    permission: Permission
    zh: str
    en: str


TAG = Kind("tag", Permission.CUSTOMER_TAG, "标签", "tag")
SEGMENT = Kind("segment", Permission.SEGMENT_MANAGE, "分群", "segment")
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (TAG, SEGMENT)}


def unchangeable(kind: Kind, row: Row | None, path: str) -> Problem | None:
    """Why the members of this row of `audience` cannot be changed by hand; None when they can."""
    if row is None:
        return Problem(f"{kind.name}_unknown", path, f"{kind.zh}不存在", f"There is no such {kind.en}.")
    if row["is_smart"]:
        told = (
            f"智能{kind.zh}的客户由规则计算得出,不能手动增减",
            f"The customers of a smart {kind.en} follow from its rules and cannot be put in or taken out by hand.",
        )
        return Problem("audience_is_smart", path, *told)
    if not row["is_enabled"]:
        told = f"该{kind.zh}已禁用,请先启用", f"The {kind.en} is disabled; enable it first."
        return Problem("audience_is_disabled", path, *told)
    return None


def require_changeable(kind: Kind, rows: Mapping[str, Row | None]) -> None:
    """Raise with all that cannot be changed by hand: rows by the place where the request names them.

    NotFoundError or InvalidError for what is not there, by whether path or body names it; else ConflictError.
    """
    problems = [problem for path, row in rows.items() if (problem := unchangeable(kind, row, path)) is not None]
    missing = [path for path, row in rows.items() if row is None]
    if missing:
        raise (NotFoundError if missing[0].startswith("/path/") else InvalidError)(*problems)
    if problems:
        raise ConflictError(*problems)


def unknown_customer(path: str) -> Problem:
    """Nobody has this id, or nobody whom the caller sees: that is told alike."""
    return Problem("customer_unknown", path, "客户不存在", "There is no such customer.")
