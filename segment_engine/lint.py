"""What is odd about a filter that is right: warnings, each at its place; a filter with warnings may be used.

always_empty, always_everyone   the whole filter selects nobody, or everybody
contradiction                   here nobody is left: by the rule itself, or together with its neighbours
unreachable                     a branch of 或 that nobody can take
repeated                        the same is said beside it
says_nothing                    without it the filter means the same
zero_left_out                   a number that 0 would satisfy, of customers with at least one row

Whether a formula can hold is found out in `implication.py`. How many rows something costs is known to no filter by
itself, so nothing is said about it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from segment_engine.checked import Activity, CheckedGroup, CheckedNode, Rows
from segment_engine.checked import Sequence as Steps
from segment_engine.formula import TRUE, Always, Formula, Thing, all_of, mapped, no
from segment_engine.implication import Judge
from segment_engine.normalize import normalize, normalize_node
from segment_engine.predicates import OfRows
from segment_engine.problems import Problem, pointer
from segment_engine.resolve import resolve
from segment_engine.tidy import holds_over_none
from segment_engine.tree import Combinator, Everyone, Place

_WORDS: Final = {
    "always_empty": ("该筛选不会选出任何客户", "This filter selects nobody."),
    "always_everyone": ("该筛选会选出全部客户", "This filter selects everybody."),
    "contradiction": ("该条件不可能成立", "This can never hold."),
    "unreachable": ("该“或”分支不可能成立", "This alternative can never hold."),
    "says_nothing": ("去掉该条件,结果不变", "Without this the filter means the same."),
    "zero_left_out": (
        "一条记录也没有的客户不算在内;如需包含,请设置 include_zero",
        "Customers without a row are left out; set include_zero if they are meant.",
    ),
}
_BESIDE: Final = (
    "与同组其他条件同时成立时,不会有任何客户或记录",
    "Together with the rules beside it this can never hold.",
)


_Test = Callable[[Formula, list[Formula]], bool]


def lint(checked: CheckedGroup, as_of: datetime) -> list[Problem]:
    """The warnings of a filter at `as_of`, in the order of the document; a filter of `everyone` alone has none."""
    whole = resolve(normalize(checked), as_of)
    linter = _Linter(as_of, Judge())
    found = [*linter.whole(checked, whole), *linter.group(checked, TRUE, is_denied=False)]
    places = {place: index for index, place in enumerate(_places(checked))}
    return [_told(one) for one in sorted(found, key=lambda one: places.get(one.place[: one.depth], len(places)))]


@dataclass(frozen=True, slots=True)
class _Warning:
    """A code at a place; words: what is said where the code's own words do not fit; depth: of the node it is about."""

    code: str
    place: Place
    depth: int
    words: tuple[str, str] | None = None


def _at(code: str, place: Place, words: tuple[str, str] | None = None) -> _Warning:
    return _Warning(code, place, len(place), words)


def _told(one: _Warning) -> Problem:
    return Problem(one.code, pointer(one.place), *(one.words or _WORDS[one.code]))


@dataclass(frozen=True, slots=True)
class _Part:
    """A rule of a group, and what it contributes: its contrary inside a negation."""

    node: CheckedNode
    formula: Formula


class _Linter:
    """Walks through a filter; `given` is what holds around a group whatever it says itself."""

    def __init__(self, as_of: datetime, judge: Judge) -> None:
        self._as_of = as_of
        self._judge = judge

    def whole(self, checked: CheckedGroup, formula: Formula) -> Iterator[_Warning]:
        """What is odd about all of it."""
        if self._judge.is_empty(formula):
            yield _at("always_empty", checked.place)
        elif not all(isinstance(rule, Everyone) for rule in checked.rules) and self._judge.is_everything(formula):
            yield _at("always_everyone", checked.place)

    def group(self, group: CheckedGroup, given: Formula, *, is_denied: bool) -> Iterator[_Warning]:
        """The warnings of a group and of all that is in it."""
        # not (a or b) is judged as what it is: not a and not b.
        is_denied ^= group.negated
        is_all = (group.combinator is Combinator.AND) != is_denied
        parts = [_Part(node, self._said(node, is_denied=is_denied)) for node in group.rules]
        found = [*(self._of_all if is_all else self._of_any)(parts, given)]
        yield from found
        needless = {one.place for one in found if one.code in ("repeated", "says_nothing")}
        for part in parts:
            beside = [other.formula for other in parts if other is not part] if is_all else []
            around = all_of([given, *beside])
            # What is needless, or impossible already around it, is judged by itself: else all in it would be so again.
            alone = part.node.place in needless or self._judge.is_empty(around)
            yield from self._inside(part.node, TRUE if alone else around, is_denied=is_denied)

    def _said(self, node: CheckedNode, *, is_denied: bool) -> Formula:
        formula = resolve(normalize_node(node), self._as_of)
        return no(formula) if is_denied else formula

    def _inside(self, node: CheckedNode, given: Formula, *, is_denied: bool) -> Iterator[_Warning]:
        match node:
            case CheckedGroup():
                yield from self.group(node, given, is_denied=is_denied)
            case Activity():
                yield from self._where(node.rows)
                yield from self._having(node)
                yield from _zero(node)
            case Steps(steps, without=without):
                for rows in (*steps, *([without] if without else [])):
                    yield from self._where(rows)

    def _where(self, rows: Rows) -> Iterator[_Warning]:
        if rows.where is None:
            return
        if self._judge.is_everything(self._said(rows.where, is_denied=False)):
            yield _at("says_nothing", rows.where.place)
        yield from self.group(rows.where, TRUE, is_denied=False)

    def _having(self, node: Activity) -> Iterator[_Warning]:
        """The first number that no rows can have beside those before it."""
        for count, measure in enumerate(node.having):
            before, here = (replace(node, having=node.having[:last]) for last in (count, count + 1))
            if self._judge.is_empty(self._said(before, is_denied=False)):
                return
            if self._judge.is_empty(self._said(here, is_denied=False)):
                yield _at("contradiction", measure.place, _BESIDE if count else None)
                return

    def _of_all(self, parts: Sequence[_Part], given: Formula) -> Iterator[_Warning]:
        """Rules that hold together."""
        kept: list[_Part] = []
        for part in parts:
            if (earlier := _same(part, kept)) is not None:
                yield _repeated(part, earlier)
            elif self._judge.is_empty(given, *(one.formula for one in kept), part.formula):
                yield _at("contradiction", part.node.place, None if self._judge.is_empty(part.formula) else _BESIDE)
                return
            else:
                kept.append(part)
        if len(kept) > 1 or given != TRUE:
            yield from _idle(kept, lambda part, others: self._judge.is_empty(given, *others, no(part)))

    def _of_any(self, parts: Sequence[_Part], given: Formula) -> Iterator[_Warning]:
        """Rules of which one holds."""
        kept: list[_Part] = []
        for part in parts:
            if (earlier := _same(part, kept)) is not None:
                yield _repeated(part, earlier)
            elif self._judge.is_empty(given, part.formula):
                yield _at("unreachable", part.node.place)
            else:
                kept.append(part)
        if len(kept) > 1:
            yield from _idle(kept, lambda part, others: self._judge.is_empty(given, part, *map(no, others)))


def _idle(parts: Sequence[_Part], adds_nothing: _Test) -> Iterator[_Warning]:
    """What follows from the rest; of two that follow from each other the later one."""
    kept = list(parts)
    for part in reversed(parts):
        others = [one for one in kept if one is not part]
        if adds_nothing(part.formula, [one.formula for one in others]):
            kept = others
            yield _at("says_nothing", part.node.place)


def _same(part: _Part, earlier: Sequence[_Part]) -> _Part | None:
    return next((one for one in earlier if one.formula == part.formula), None)


def _repeated(part: _Part, earlier: _Part) -> _Warning:
    path = pointer(earlier.node.place)
    return _at("repeated", part.node.place, (f"与 {path} 意思相同", f"The same is said at {path}."))


def _zero(node: Activity) -> Iterator[_Warning]:
    """Where a customer without a row would satisfy all that is measured."""
    if not node.did or not node.having or node.include_zero:
        return
    measured = normalize_node(replace(node, include_zero=True))
    if not isinstance(measured, Always) and mapped(measured, _over_none) == TRUE:
        yield _Warning("zero_left_out", (*node.place, "include_zero"), len(node.place))


def _over_none(thing: Thing) -> Formula:
    return Always(isinstance(thing, OfRows) and holds_over_none(thing.predicate))


def _places(node: CheckedNode) -> Iterator[Place]:
    """Every place of a filter, in the order of the document."""
    yield node.place
    match node:
        case CheckedGroup(rules=rules):
            for rule in rules:
                yield from _places(rule)
        case Activity(rows, having=having):
            yield from _places(rows.where) if rows.where else ()
            yield from (measure.place for measure in having)
        case Steps(steps, without=without):
            for rows in (*steps, *([without] if without else [])):
                yield from _places(rows.where) if rows.where else ()
