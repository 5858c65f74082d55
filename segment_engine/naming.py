"""What callers are told of a tag or segment that a filter may not name. Pure."""

from typing import Final

from segment_engine.tree import AudienceKind

_WORDS: Final = {AudienceKind.TAG: ("标签", "tag"), AudienceKind.SEGMENT: ("分群", "segment")}


def not_there(kind: AudienceKind, one: int) -> tuple[str, str]:
    """There is none of this number, or it was deleted."""
    zh, en = _WORDS[kind]
    return f"{zh} {one} 不存在", f"There is no {en} {one}."


def not_enabled(kind: AudienceKind, one: int, name: str) -> tuple[str, str]:
    """It is there, and out of use until somebody enables it."""
    zh, en = _WORDS[kind]
    return (
        f"{zh}「{name}」(编号 {one})未启用,不能引用",
        f"The {en} “{name}” ({one}) is not enabled and cannot be named.",
    )
