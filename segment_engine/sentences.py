"""A sentence in Chinese and English, and how sentences go together: lists, brackets, what stands between.

What a filter means in words is said in `describe.py`, an operator with its value in `phrases.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from segment_engine.tree import AudienceKind

AudienceNames = Mapping[tuple[AudienceKind, int], str]
"""Names of tags and segments; one that is not here is told by its number."""

OptionLabels = Mapping[tuple[str, str], str]
"""Labels of options that are rows of another table, by the dictionary's table and the value."""

MOST_LISTED: Final = 10
"""So many items of a list are said, the rest is counted."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """The same said in Chinese and in English."""

    zh: str
    en: str

    def __add__(self, other: "Sentence") -> "Sentence":
        return Sentence(self.zh + other.zh, self.en + other.en)


NOTHING: Final = Sentence("", "")


def same(text: str) -> Sentence:
    """What is the same in both languages."""
    return Sentence(text, text)


def quoted(text: str) -> Sentence:
    """What somebody typed; its own closing quotes are doubled, so that nobody reads on as if the words were ours."""
    return same(f"“{text.replace('”', '””')}”")


def between(separator: Sentence, parts: Iterable[Sentence]) -> Sentence:
    """The parts with the separator between them."""
    told = [*parts]
    return Sentence(
        separator.zh.join(part.zh for part in told),
        separator.en.join(part.en for part in told),
    )


def bracketed(inside: Sentence) -> Sentence:
    """In brackets: full-width ones in Chinese."""
    return Sentence(f"({inside.zh})", f"({inside.en})")


def remark(inside: Sentence) -> Sentence:
    """In brackets, after something."""
    return Sentence(f"({inside.zh})", f" ({inside.en})")


def listed(items: Sequence[Sentence]) -> Sentence:
    """All items; of many only the first, and how many there are (等 22 项) or how many more (and 12 more)."""
    shown = between(Sentence("、", ", "), items[:MOST_LISTED])
    more = len(items) - MOST_LISTED
    return shown if more <= 0 else shown + Sentence(f" 等 {len(items)} 项", f" and {more} more")
