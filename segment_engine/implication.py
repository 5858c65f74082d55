"""Whether a formula can hold at all, whatever the data: what lint asks of a filter's parts.

The answer "no" is sure; a contradiction that is not seen here is only not told. Branches of 或 are tried one by one, as
many as a limit allows. Making formulas small for the database is `tidy.py`'s.

x ≥ 7 and x ≤ 6 → no; not set and x = 1 → no; visits in the past 7 days and no visits in the past 30 → no
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from segment_engine.formula import FALSE, TRUE, All, Formula, No, Some, Thing, all_of, no, things_of
from segment_engine.predicates import HasRows, InBucket, OfRows, RowSet
from segment_engine.tidy import holds_over_none, tidy

_MOST_BRANCHES: Final = 64
_EFFORT: Final = 100_000


class Judge:
    """Answers while its effort lasts, which is counted and not timed, so that the answers to one filter stay the same.

    A look at a formula costs the square of its things: some microseconds each.
    """

    def __init__(self, effort: int = _EFFORT) -> None:
        self._effort = effort
        self._branches = 0
        self._known: dict[tuple[RowSet, RowSet], bool] = {}

    def is_empty(self, *formulas: Formula) -> bool:
        """Whether these can hold together for nobody."""
        self._branches = _MOST_BRANCHES
        return self._is_empty(formulas)

    def is_everything(self, formula: Formula) -> bool:
        """Whether it holds for everybody."""
        return self.is_empty(no(formula))

    def _is_empty(self, formulas: Iterable[Formula]) -> bool:
        self._branches -= 1
        if self._branches < 0 or self._effort < 0:
            return False
        together = all_of(formulas)
        self._effort -= sum(1 for _ in things_of(together)) ** 2
        formula = tidy(together)
        if isinstance(formula, Some):
            return all(self._is_empty([part]) for part in formula.parts)
        parts = formula.parts if isinstance(formula, All) else (formula,)
        return formula == FALSE or (formula != TRUE and self._is_contradiction(parts))

    def _is_contradiction(self, parts: Sequence[Formula]) -> bool:
        if self._contradict(parts):
            return True
        choices = sorted((part for part in parts if isinstance(part, Some)), key=lambda one: len(one.parts))
        if not choices:
            return False
        # Of the shortest alternative, each branch together with the rest.
        rest = [part for part in parts if part is not choices[0]]
        return all(self._is_empty([*rest, branch]) for branch in choices[0].parts)

    def _contradict(self, parts: Sequence[Formula]) -> bool:
        """Whether something is denied that follows from the rest, or two shares of customers do not meet."""
        denied = [part.part for part in parts if isinstance(part, No)]
        said = [part for part in parts if not isinstance(part, No | Some)]
        whole = tidy(all_of(said))
        if any(tidy(all_of([whole, thing])) == whole or self._is_implied(thing, said) for thing in denied):
            return True
        return _are_apart([part for part in said if isinstance(part, InBucket)])

    def _is_implied(self, thing: Thing, said: Iterable[Formula]) -> bool:
        match thing:
            case HasRows(rows):
                return any(self._has_such(one, rows) for one in said)
            case InBucket(salt, first, end):
                shares = [one for one in said if isinstance(one, InBucket) and one.salt == salt]
                return any(first <= one.first and one.end <= end for one in shares)
        return False

    def _has_such(self, formula: Formula, rows: RowSet) -> bool:
        """Whether a customer of whom it holds has such rows."""
        match formula:
            case HasRows(narrower):
                return self._lie_in(narrower, rows)
            case OfRows(narrower, predicate):
                return not holds_over_none(predicate) and self._lie_in(narrower, rows)
        return False

    def _lie_in(self, rows: RowSet, others: RowSet) -> bool:
        if replace(rows, where=TRUE) != replace(others, where=TRUE):
            return False
        if (rows, others) not in self._known:
            # Its branches are its own, and not those of the question that led here.
            branches, self._branches = self._branches, _MOST_BRANCHES
            self._known[rows, others] = self._is_empty([rows.where, no(others.where)])
            self._branches = branches
        return self._known[rows, others]


def _are_apart(shares: Sequence[InBucket]) -> bool:
    return any(
        one.salt == other.salt and (one.end <= other.first or other.end <= one.first)
        for one in shares
        for other in shares
    )
