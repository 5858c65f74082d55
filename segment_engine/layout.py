"""The engine's own tables (schema `engine`): how they are coded, and what formulas over marts are on them.

Texts with few values are numbers there, moments have their day beside them, and rows lie where scans find them. A
formula that speaks of something that is not kept there stays with the marts. Building the tables belongs to
`runtime/engine_tables.py`.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import re2

from segment_engine.formula import FALSE, Formula, Thing, all_of, any_of, mapped, no
from segment_engine.operators import FieldType
from segment_engine.predicates import (
    Among,
    Bits,
    Column,
    Compared,
    Follows,
    Has,
    Likeness,
    Matches,
    Overlap,
    PartOf,
    Present,
    RowSet,
    Term,
    Within,
)
from segment_engine.tidy import tidy, within

ENGINE_SCHEMA: Final = "engine"
CUSTOMERS: Final = "customer"
"""The relation that holds customers: one row per key from 0 on, `is_customer` where somebody has it."""

MISSING_CODE: Final = 0

CODED: Final = frozenset({FieldType.TEXT, FieldType.OPTION, FieldType.OPTIONS})
"""Types of which numbers are kept: of a text its code, of a list a bit for each of its values."""

WORD_BITS: Final = 63
"""Of a number with a sign; a list of more values is kept in several numbers."""


def day_column(name: str) -> str:
    """The column that holds the day, in the tenant's zone, of a moment's column."""
    return f"{name}__on"


def word_columns(name: str, values: Sequence[str]) -> list[str]:
    """The columns that hold the bits of a list's values, the first value's the lowest of the first; always one."""
    return [f"{name}__{word}" for word in range(max(1, -(-len(values) // WORD_BITS)))]


@dataclass(frozen=True, slots=True)
class Stored:
    """One relation as the engine keeps it.

    columns: the fields that are kept; codes: of those that are coded, their values in order of the texts: the first
    has code 1, or the lowest bit, and 0 is missing; known_until: the moment by which all rows were known, None for
    customers or no rows
    """

    table: str
    rows: int
    columns: frozenset[str]
    codes: Mapping[str, Sequence[str]]
    known_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """What is kept, and how many keys there are: every customer's is below `keys`."""

    keys: int
    customers: Stored
    sources: Mapping[str, Stored]

    @property
    def known(self) -> Mapping[str, datetime]:
        """Per source, the moment by which all of its rows were known."""
        return {name: one.known_until for name, one in self.sources.items() if one.known_until is not None}


class NotKeptError(Exception):
    """A formula speaks of something that the engine's tables do not hold; the marts do."""


def coded(formula: Formula, stored: Stored) -> Formula:
    """The formula over a relation's columns as one over the engine's; raises NotKeptError.

    visit_type is 初诊 → visit_type is 3; occurred_at on these days → occurred_at__on between them
    """
    return tidy(mapped(formula, lambda thing: _coded(thing, stored)))


def coded_sequence(sequence: Follows, layout: Layout, kept: Callable[[RowSet], Formula]) -> Follows:
    """A sequence over the engine's tables; `kept` says what a row must satisfy. Raises NotKeptError.

    A coded text is the same in all steps where its codes are: in rows of one source.
    """
    same = sequence.same
    sources = {rows.source for rows in sequence.steps}
    stored = [layout.sources.get(source) for source in sources]
    if same is not None and any(one is None or same.name not in one.columns for one in stored):
        raise NotKeptError(same.name)
    is_coded = same is not None and any(one is not None and same.name in one.codes for one in stored)
    if same is not None and is_coded:
        if len(sources) > 1 or same.type is FieldType.OPTIONS:
            raise NotKeptError(same.name)
        same = _code(same.name)

    def step(rows: RowSet, *, is_step: bool = True) -> RowSet:
        if rows.source not in layout.sources:
            raise NotKeptError(rows.source)
        where = coded(kept(rows), layout.sources[rows.source])
        if same is not None and is_coded and is_step:
            where = tidy(all_of([where, within(same, MISSING_CODE + 1, None)]))
        return RowSet(rows.source, where)

    without = None if sequence.without is None else step(sequence.without, is_step=False)
    return replace(sequence, steps=tuple(step(rows) for rows in sequence.steps), without=without, same=same)


def _coded(thing: Thing, stored: Stored) -> Formula:
    term = getattr(thing, "term", None)
    if term is None:
        return thing
    name = _field_of(term)
    if name not in stored.columns or (isinstance(thing, Compared) and thing.other.name not in stored.columns):
        raise NotKeptError(name)
    if name in stored.codes:
        return _of_codes(thing, stored.codes[name])
    if term.type is FieldType.DATETIME or isinstance(term, PartOf):
        return _of_days(thing)
    return thing


def _field_of(term: Term) -> str:
    assert isinstance(term, Column) or isinstance(term.column, Column)
    return term.name if isinstance(term, Column) else term.column.name  # type: ignore[union-attr]


def _of_codes(thing: Thing, values: Sequence[str]) -> Formula:
    match thing:
        case Present(Column(name, FieldType.OPTIONS)):
            return any_of(within(_code(word), 1, None) for word in word_columns(name, values))
        case Present(Column(name)):
            return within(_code(name), MISSING_CODE + 1, None)
        case Among(Column(name), texts):
            return _one_of(name, (code for text in texts if (code := _code_of(str(text), values))))
        case Has(Column(name), overlap, wanted):
            codes = [_code_of(text, values) for text in wanted]
            return _of_bits(word_columns(name, values), overlap, codes)
        case Matches(Column(name), likeness, text):
            like = _LIKE[likeness](text)
            return _one_of(name, (code for code, value in enumerate(values, 1) if like(value)))
    # Two fields have two dictionaries.
    raise NotKeptError(str(thing))


def _of_bits(words: Sequence[str], overlap: Overlap, codes: Sequence[int | None]) -> Formula:
    """Of a list that is kept as bits; a value that no list holds is met by none."""
    bits = sum(1 << code - 1 for code in codes if code is not None)
    masks = {_code(word): bits >> WORD_BITS * place & (1 << WORD_BITS) - 1 for place, word in enumerate(words)}
    if overlap is Overlap.ONLY:
        others = (Bits(word, Overlap.ANY, ~mask & (1 << WORD_BITS) - 1) for word, mask in masks.items())
        return all_of([any_of(within(word, 1, None) for word in masks), *map(no, others)])
    if overlap is Overlap.ANY:
        return any_of(Bits(word, overlap, mask) for word, mask in masks.items() if mask)
    if None in codes:
        return FALSE
    if overlap is Overlap.SAME:
        return all_of(Among(word, (mask,)) for word, mask in masks.items())
    return all_of(Bits(word, overlap, mask) for word, mask in masks.items() if mask)


def _one_of(name: str, codes: Iterable[int]) -> Formula:
    """As few ranges or values as say it."""
    found = tuple(codes)
    if not found:
        return FALSE
    if found[-1] - found[0] + 1 == len(found):
        return within(_code(name), found[0], found[-1])
    return Among(_code(name), found)


def _code(name: str) -> Column:
    return Column(name, FieldType.INTEGER)


def _code_of(text: str, values: Sequence[str]) -> int | None:
    place = bisect_left(values, text)
    return place + 1 if place < len(values) and values[place] == text else None


def _of_days(thing: Thing) -> Formula:
    match thing:
        case Within(Column(name, FieldType.DATETIME), low, high) if not _has_moment(low, high):
            return replace(thing, term=Column(day_column(name), FieldType.DATE))
        case Among(PartOf(Column(name, FieldType.DATETIME), part)) | Within(
            PartOf(Column(name, FieldType.DATETIME), part)
        ):
            return replace(thing, term=PartOf(Column(day_column(name), FieldType.DATE), part))
        case Compared(Column(name, FieldType.DATETIME), order, other):
            days = (Column(day_column(one), FieldType.DATE) for one in (name, other.name))
            return Compared(next(days), order, next(days))
    return thing


def _has_moment(*bounds: object) -> bool:
    return any(isinstance(bound, datetime) for bound in bounds)


_Test = Callable[[str], bool]

_LIKE: Final[Mapping[Likeness, Callable[[str], _Test]]] = {
    Likeness.CONTAINS: lambda text: lambda value: text in value,
    Likeness.STARTS_WITH: lambda text: lambda value: value.startswith(text),
    Likeness.ENDS_WITH: lambda text: lambda value: value.endswith(text),
    Likeness.REGEX: lambda text: lambda value: re2.search(text, value) is not None,
}
