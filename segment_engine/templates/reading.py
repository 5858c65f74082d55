"""What a template is, and how its YAML is read; a file that is wrong is our mistake, and every fault in it is told.

Whether a filter means anything by the catalogue is asked by `check` of `compile.py`, and by tests of every template.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

LONGEST_NAME: Final = 50
"""Characters of the name of a tag; seed 003 §5.2.1."""

LONGEST_GROUP_NAME: Final = 20
"""Characters of the name of a group of tags, and of a segment; seed 003 §5.2.1 and §6.2."""

LONGEST_DESCRIPTION: Final = 500
"""Characters of the description of a segment; seed 003 §6.2."""

_NAMES: Final = ("name_zh", "name_en")
_DESCRIPTIONS: Final = ("description_zh", "description_en")
_SHARED: Final = frozenset({"key", *_NAMES, *_DESCRIPTIONS})
_KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,49}")
_COLOR: Final = re.compile(r"#[0-9A-F]{6}")


class TemplateError(Exception):
    """Templates that are not what they should be, with every fault."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Template:
    """A filter to start from.

    key: its own among all templates; description: what it means and why one wants it; filter: a document of the filter
    language; color: of a tag, `#RRGGBB`, None of a segment
    """

    key: str
    name_zh: str
    name_en: str
    description_zh: str
    description_en: str
    filter: Mapping[str, Any]
    color: str | None = None


@dataclass(frozen=True, slots=True)
class TemplateGroup:
    """A group of smart tags to start from."""

    key: str
    name_zh: str
    name_en: str
    description_zh: str
    description_en: str
    tags: tuple[Template, ...]


@dataclass(frozen=True, slots=True)
class TemplateLibrary:
    """Everything there is to start from."""

    tag_groups: tuple[TemplateGroup, ...]
    segments: tuple[Template, ...]

    def templates(self) -> Iterator[Template]:
        """All templates, of tags and of segments."""
        for group in self.tag_groups:
            yield from group.tags
        yield from self.segments


def read_library(groups: Sequence[str], segments: str) -> TemplateLibrary:
    """The templates of these YAML texts, one per tag group and one of all segments; raises TemplateError."""
    read_groups = [yaml.safe_load(text) for text in groups]
    read_segments = yaml.safe_load(segments)
    faults = [*_faults_of_groups(read_groups), *_faults_of_segments(read_segments)]
    if faults:
        raise TemplateError(faults)
    return TemplateLibrary(
        tuple(TemplateGroup(**{**one, "tags": tuple(Template(**tag) for tag in one["tags"])}) for one in read_groups),
        tuple(Template(**one) for one in read_segments),
    )


def _faults_of_groups(groups: Sequence[Any]) -> Iterator[str]:
    for group in groups:
        yield from _faults_of(group, {"tags"}, LONGEST_GROUP_NAME)
        for tag in _members(group, "tags"):
            yield from _faults_of(tag, {"filter", "color"}, LONGEST_NAME)
            if not _COLOR.fullmatch(str(_member(tag, "color"))):
                yield f"{_member(tag, 'key')}: color is #RRGGBB, not {_member(tag, 'color')}"
    yield from _repeated([_member(group, "key") for group in groups])
    yield from _repeated([_member(tag, "key") for group in groups for tag in _members(group, "tags")])


def _faults_of_segments(segments: Any) -> Iterator[str]:
    for segment in segments:
        yield from _faults_of(segment, {"filter"}, LONGEST_GROUP_NAME)
    yield from _repeated([_member(segment, "key") for segment in segments])


def _faults_of(one: Any, others: set[str], longest_name: int) -> Iterator[str]:
    """What is wrong with the members that groups and templates share."""
    if not isinstance(one, dict) or set(one) != _SHARED | others:
        yield f"{_member(one, 'key')}: members are {sorted(_SHARED | others)}, and no others"
        return
    if not _KEY.fullmatch(str(one["key"])):
        yield f"{one['key']}: a key is up to 50 small letters, digits and underscores"
    # Either name becomes the name of a tag or segment, so that the product's limit holds for both.
    limits = dict.fromkeys(_NAMES, longest_name) | dict.fromkeys(_DESCRIPTIONS, LONGEST_DESCRIPTION)
    for name, longest in limits.items():
        if not isinstance(one[name], str) or not 0 < len(one[name].strip()) <= longest:
            yield f"{one['key']}: {name} is a text of at most {longest} characters"


def _repeated(keys: Sequence[Any]) -> Iterator[str]:
    for key in sorted({str(key) for key in keys if keys.count(key) > 1}):
        yield f"{key}: there are several of this key"


def _members(one: Any, name: str) -> list[Any]:
    found = _member(one, name)
    return found if isinstance(found, list) else []


def _member(one: Any, name: str) -> Any:
    return one.get(name) if isinstance(one, dict) else None
