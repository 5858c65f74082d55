"""The text of a case file as plain data, with the lines of its members: JSON, or YAML that is as strict as JSON.

What the data must say is asked in `world.py` and `case_file.py`. Text that looks like a day stays text, and a key that
is there twice is refused: else a case would silently say something else than its author reads.
"""

import json
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from segment_engine.cases.notes import BadCaseFileError, Notes, Place

_LEVELS_WITH_LINES: Final = 5
"""As deep as a field of a row lies; what is deeper is told with the line of what it stands in."""


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data; lines: where its members stand, empty for JSON."""

    data: Any
    lines: Mapping[Place, int]


def read_document(text: str) -> Document:
    """The data of a text; raises BadCaseFileError where it is neither JSON nor YAML, or says a key twice."""
    if text.lstrip().startswith("{"):
        try:
            return Document(json.loads(text, object_pairs_hook=_once), {})
        except json.JSONDecodeError:
            pass  # A YAML document may begin with a brace too.
        except (ValueError, RecursionError) as wrong:
            raise _unreadable("JSON", str(wrong), None) from wrong
    return _read_yaml(text)


def _read_yaml(text: str) -> Document:
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        data = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as wrong:
        line = None if wrong.problem_mark is None else wrong.problem_mark.line + 1
        raise _unreadable("YAML", wrong.problem or str(wrong), line) from wrong
    except (yaml.YAMLError, ValueError, RecursionError) as wrong:
        raise _unreadable("YAML", " ".join(str(wrong).split()), None) from wrong
    return Document(data, {} if node is None else dict(_lines(node, ())))


def _unreadable(language: str, what: str, line: int | None) -> BadCaseFileError:
    notes = Notes({} if line is None else {(): line})
    notes.tell("not_readable", (), f"不是可读的 {language}:{what}", f"This is no readable {language}: {what}.")
    return BadCaseFileError(*notes.problems)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"duplicate key {next(name for name in names if names.count(name) > 1)!r}")
    return members


class _Loader(yaml.SafeLoader):
    """YAML without days and moments, and with every key once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = (key_node.tag, key_node.value) if isinstance(key_node, yaml.ScalarNode) else None
            if key is not None and key in seen:
                what = f"duplicate key {key_node.value!r}"
                raise yaml.constructor.ConstructorError(None, None, what, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _lines(node: yaml.Node, place: Place) -> Iterator[tuple[Place, int]]:
    yield place, node.start_mark.line + 1
    if len(place) == _LEVELS_WITH_LINES:
        return
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield from _lines(value, (*place, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _lines(item, (*place, index))
