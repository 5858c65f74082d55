"""Ordinary logic over things that are true or false: all, some, not; nothing here knows what the things are.

Formulas are kept in one form: flat, without repetition, in one order, negation only in front of things. So two formulas
that say the same up to order and nesting are equal, and may be compared, hashed and cached.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

Thing = Hashable
"""Whatever is true or false by itself: a frozen dataclass whose repr tells all of it."""


@dataclass(frozen=True, slots=True)
class Always:
    """True for everybody, or for nobody."""

    value: bool


@dataclass(frozen=True, slots=True)
class No:
    """Not this thing."""

    part: Thing


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds; two parts or more."""

    parts: "tuple[Formula, ...]"


@dataclass(frozen=True, slots=True)
class Some:
    """At least one part holds; two parts or more."""

    parts: "tuple[Formula, ...]"


Formula = Always | No | All | Some | Thing

TRUE: Final = Always(True)
FALSE: Final = Always(False)


def no(formula: Formula) -> Formula:
    """The contrary, with negation pushed down to the things: not (a and b) → (not a) or (not b)."""
    match formula:
        case Always(value):
            return FALSE if value else TRUE
        case No(part):
            return part
        case All(parts):
            return any_of(no(part) for part in parts)
        case Some(parts):
            return all_of(no(part) for part in parts)
    return No(formula)


def all_of(formulas: Iterable[Formula]) -> Formula:
    """All of them hold; of none, true. a and a → a; a and not a → false; a and (a or b) → a."""
    return _together(formulas, All, neutral=TRUE)


def any_of(formulas: Iterable[Formula]) -> Formula:
    """One of them holds; of none, false. a or a → a; a or not a → true; a or (a and b) → a."""
    return _together(formulas, Some, neutral=FALSE)


def _together(formulas: Iterable[Formula], kind: type[All] | type[Some], *, neutral: Always) -> Formula:
    parts = dict.fromkeys(_flat(formulas, kind))
    parts.pop(neutral, None)
    decisive = no(neutral)
    if decisive in parts or any(no(part) in parts for part in parts):
        return decisive
    kept = [part for part in parts if not _is_absorbed(part, parts, Some if kind is All else All)]
    if not kept:
        return neutral
    return kept[0] if len(kept) == 1 else kind(tuple(sorted(kept, key=repr)))


def _is_absorbed(part: Formula, parts: Mapping[Formula, None], other: type[All] | type[Some]) -> bool:
    """Whether one of its own parts stands beside it."""
    return isinstance(part, All | Some) and isinstance(part, other) and any(one in parts for one in part.parts)


def _flat(formulas: Iterable[Formula], kind: type[All] | type[Some]) -> Iterator[Formula]:
    for formula in formulas:
        if isinstance(formula, All | Some) and isinstance(formula, kind):
            yield from formula.parts
        else:
            yield formula


def things_of(formula: Formula) -> Iterator[Thing]:
    """The things in it, in order, as often as they occur."""
    match formula:
        case Always():
            return
        case No(part):
            yield part
        case All(parts) | Some(parts):
            for part in parts:
                yield from things_of(part)
        case _:
            yield formula


def mapped(formula: Formula, change: Callable[[Thing], Formula]) -> Formula:
    """The formula with each thing changed to a formula, in the one form again."""
    match formula:
        case Always():
            return formula
        case No(part):
            return no(change(part))
        case All(parts):
            return all_of(mapped(part, change) for part in parts)
        case Some(parts):
            return any_of(mapped(part, change) for part in parts)
    return change(formula)
