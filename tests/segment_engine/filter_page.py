"""`docs/filter-language.md` as data: its world, its examples with who is meant by each, its tables.

An example is a ```json block whose line before says what becomes of it, or a rule in a table with its customers in the
last cell. What must be true of them is said in `test_filter_language_docs.py`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from segment_engine.cases.case_file import read_case_file
from segment_engine.cases.world import World
from segment_engine.catalog import Catalog, Field, Source

Json = Any

PAGE: Final = (Path(__file__).parents[2] / "docs/filter-language.md").read_text(encoding="utf-8")

_LINES: Final = PAGE.splitlines()
_MOMENT: Final = r"\d{4}-\d\d-\d\dT\S+?"
_SELECTS: Final = re.compile(rf"\b[Ss]elects (\d+(?:, \d+)*)(?: at ({_MOMENT}))?:$")
_REFUSED: Final = re.compile(r"Refused with (.+):$")
_IN_TABLE: Final = re.compile(r"^\| .* \| `(\{.*\})` \| (\d+(?:, \d+)*) \|$")
_EDITORS: Final = "In react-querybuilder:"
_PRESENT: Final = datetime.fromisoformat(re.findall(rf"`as_of` is ({_MOMENT}),", PAGE)[0])


@dataclass(frozen=True, slots=True)
class Example:
    """A filter of the page and who is meant by it; line: where it stands; sentence: what stands under it, if any."""

    line: int
    document: Json
    as_of: datetime
    selects: frozenset[int]
    sentence: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A document that is refused, with the codes and paths of its problems, in order."""

    line: int
    document: Json
    problems: tuple[tuple[str, str], ...]


def blocks(language: str) -> list[str]:
    """The texts of all blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def table(*header: str) -> list[list[str]]:
    """The cells of every row of the tables whose header begins with these words."""
    found: list[list[str]] = []
    for index, line in enumerate(_LINES):
        if line.startswith(f"| {' | '.join(header)} |"):
            found += [_cells(row) for row in _rows_from(index + 2)]
    return found


def code_of(cell: str) -> str:
    """What stands in a cell as code, alone."""
    return cell.removeprefix("`").removesuffix("`")


def operator_tables() -> dict[str, list[list[str]]]:
    """The rows of the operators' tables, by the type in the heading before each."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for index, line in enumerate(_LINES):
        if line.startswith("### "):
            heading = line.split()[1]
        if line.startswith("| operator | "):
            found[heading] = [_cells(row) for row in _rows_from(index + 2)]
    return found


def examples() -> list[Example]:
    """Every filter that selects somebody: of blocks and of tables."""
    return [*_examples_of_blocks(), *_examples_of_tables()]


def refusals() -> list[Refusal]:
    """Every document that is refused."""
    return [
        Refusal(number, document, tuple(re.findall(r"`([a-z_]+)` at `(\S*?)`", told[1])))
        for number, lead, document, _ in _json_blocks()
        if (told := _REFUSED.search(lead))
    ]


def editors_pairs() -> list[tuple[Json, Json]]:
    """Filters with what react-querybuilder makes of them, which stands in the block after each."""
    read = list(_json_blocks())
    return [(read[index - 1][2], one[2]) for index, one in enumerate(read) if one[1] == _EDITORS]


def blocks_without_a_promise() -> list[int]:
    """Lines of ```json blocks of which nobody says what becomes of them."""
    return [
        number
        for number, lead, _, _ in _json_blocks()
        if not (_SELECTS.search(lead) or _REFUSED.search(lead) or lead == _EDITORS)
    ]


def world() -> World:
    """The world of the page, its fields and sources with the page's own words."""
    read = read_case_file(blocks("yaml")[0] + "cases: []\n").world
    return replace(read, catalog=_worded(read.catalog))


def _examples_of_blocks() -> Iterator[Example]:
    for number, lead, document, after in _json_blocks():
        if told := _SELECTS.search(lead):
            yield Example(number, document, _moment(told[2]), _customers(told[1]), _sentence(after))


def _examples_of_tables() -> Iterator[Example]:
    for number, line in enumerate(_LINES, 1):
        if told := _IN_TABLE.match(line):
            document = {"combinator": "and", "rules": [json.loads(told[1])]}
            yield Example(number, document, _PRESENT, _customers(told[2]))


def _json_blocks() -> Iterator[tuple[int, str, Json, list[str]]]:
    """Line of the fence, the line of text before it, the document, and the lines after it."""
    for start, line in enumerate(_LINES):
        if line == "```json":
            end = _LINES.index("```", start)
            lead = next(text for text in reversed(_LINES[:start]) if text)
            yield start + 1, lead, json.loads("\n".join(_LINES[start + 1 : end])), _LINES[end + 1 :]


def _moment(text: str | None) -> datetime:
    return _PRESENT if text is None else datetime.fromisoformat(text)


def _customers(text: str) -> frozenset[int]:
    return frozenset(map(int, text.split(", ")))


def _sentence(after: list[str]) -> tuple[str, str] | None:
    if not after[0].startswith("> "):
        return None
    assert after[1] == ">"
    return after[0].removeprefix("> "), after[2].removeprefix("> ")


def _rows_from(index: int) -> Iterator[str]:
    while _LINES[index].startswith("|"):
        yield _LINES[index]
        index += 1


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.removeprefix("|").removesuffix("|").split(" |")]


def _worded(catalog: Catalog) -> Catalog:
    words = {code_of(name): (zh, en, category) for name, zh, en, category in table("name", "中文", "English")}
    return replace(
        catalog,
        attributes={name: _named(one, words[name]) for name, one in catalog.attributes.items()},
        sources={name: _source(one, words) for name, one in catalog.sources.items()},
    )


def _named(field: Field, words: tuple[str, str, str]) -> Field:
    return replace(field, label_zh=words[0], label_en=words[1])


def _source(source: Source, words: Mapping[str, tuple[str, str, str]]) -> Source:
    zh, en, category = words[source.name]
    fields = {name: _named(one, words[f"{source.name}.{name}"]) for name, one in source.fields.items()}
    return replace(source, label_zh=zh, label_en=en, category=(category,) * 3, fields=fields)
