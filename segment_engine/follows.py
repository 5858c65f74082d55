"""Sequences as SQL: one window per step instead of a join per pair of rows.

A chain is best continued from the latest row of the step before: if that one is too far away, or something forbidden
lies after it, so it is for every earlier one, and its chain began no earlier than theirs. So each row of a step needs
only the latest earlier row that a chain reached, and the moment when that chain began.
"""

from collections.abc import Callable
from typing import Final

from sqlglot import exp

from segment_engine.emit import Dialect, Parameters, Sql, column, local, named, table
from segment_engine.predicates import Follows
from segment_engine.values import Unit, Window

KEY: Final = "customer_key"
_MOMENT, _STARTED, _SAME, _ROLE = "moment", "started", "same_value", "role"
_BEFORE, _FORBIDDEN = "moment_before", "forbidden"
# Of rows at one moment the step's comes first: what is not strictly earlier lies behind it.
_STEP, _REACHED, _WITHOUT = range(3)

Rows = Callable[[int | None], exp.Select]
"""The rows of a step, or of what must not lie between (None): key, moment and, for a step, what must be the same."""


class Chains:
    """The common table expressions of one sequence, in order; the last names customers."""

    def __init__(self, sequence: Follows, rows: Rows, parameters: Parameters, zone: str, dialect: Dialect) -> None:
        self._sequence = sequence
        self._rows = rows
        self._parameters = parameters
        self._zone = zone
        self._dialect = dialect

    def steps(self, name: str) -> list[tuple[str, exp.Query]]:
        """`<name>_1`, `<name>_2`, …: rows that a chain reached; and `<name>`: the customers of whole chains."""
        began = [*map(column, [KEY, *self._same, _MOMENT]), named(column(_MOMENT), _STARTED)]
        # Who has no row of the second step has no chain, and need not be looked at.
        second = self._rows(1).subquery("second", copy=False)
        rows = self._of_customers(self._rows(0), exp.select(column(KEY), copy=False).from_(second, copy=False))
        first = exp.select(*began, copy=False).from_(rows.subquery("step", copy=False), copy=False)
        ctes: list[tuple[str, exp.Query]] = [(f"{name}_1", first)]
        for index in range(1, len(self._sequence.steps)):
            ctes.append((f"{name}_{index + 1}", self._step(index, f"{name}_{index}")))
        last = exp.select(column(KEY), copy=False).distinct(copy=False).from_(table(ctes[-1][0]), copy=False)
        in_time = self._is_inside(column(_STARTED), self._sequence.within)
        return [*ctes, (name, last.where(in_time, copy=False))]

    @property
    def _same(self) -> list[str]:
        return [] if self._sequence.same is None else [_SAME]

    def _step(self, index: int, reached: str) -> exp.Query:
        looked_back = self._looked_back(index, reached)
        kept: list[Sql] = [
            exp.EQ(this=column(_ROLE), expression=exp.Literal.number(_STEP)),
            exp.Not(this=exp.Is(this=column(_BEFORE), expression=exp.null())),
        ]
        if self._sequence.max_gap is not None:
            kept.append(self._is_inside(column(_BEFORE), self._sequence.max_gap))
        if self._sequence.without is not None:
            free = exp.LTE(this=column(_FORBIDDEN), expression=column(_BEFORE))
            kept.append(exp.Paren(this=exp.or_(exp.Is(this=column(_FORBIDDEN), expression=exp.null()), free)))
        names = [KEY, *self._same, _MOMENT, _STARTED]
        return (
            exp.select(*map(column, names), copy=False)
            .from_(looked_back.subquery("looked_back", copy=False), copy=False)
            .where(*kept, copy=False)
        )

    def _looked_back(self, index: int, reached: str) -> exp.Select:
        """Each row with what lies before it."""
        together = [self._of_role(_REACHED, exp.select(exp.Star()).from_(table(reached)), _STARTED)]
        together.append(self._of_role(_STEP, self._of_reached(self._rows(index), reached), None))
        looked = [self._latest(_MOMENT, _REACHED, _BEFORE), self._latest(_STARTED, _REACHED, _STARTED)]
        if self._sequence.without is not None:
            together.append(self._of_role(_WITHOUT, self._of_reached(self._rows(None), reached), None))
            looked.append(self._latest(_MOMENT, _WITHOUT, _FORBIDDEN))
        rows = exp.union(*together, distinct=False, copy=False)
        names = [KEY, *self._same, _MOMENT, _ROLE]
        return exp.select(*map(column, names), *looked, copy=False).from_(rows.subquery("together"), copy=False)

    def _of_reached(self, rows: exp.Select, reached: str) -> exp.Select:
        """Only of customers who came as far: there is nothing to look back to for others."""
        return self._of_customers(rows, exp.select(column(KEY), copy=False).from_(table(reached), copy=False))

    def _of_customers(self, rows: exp.Select, customers: exp.Select) -> exp.Select:
        return rows.where(exp.In(this=column(KEY), query=customers.subquery(copy=False)), copy=False)

    def _of_role(self, role: int, rows: exp.Select, started: str | None) -> exp.Select:
        nothing = exp.cast(exp.null(), "timestamptz")
        same = [named(exp.null() if role == _WITHOUT else column(_SAME), _SAME) for _ in self._same]
        return exp.select(
            column(KEY),
            *same,
            column(_MOMENT),
            named(nothing if started is None else column(started), _STARTED),
            named(exp.Literal.number(role), _ROLE),
            copy=False,
        ).from_(rows.subquery("step"), copy=False)

    def _latest(self, name: str, role: int, alias: str) -> Sql:
        """The greatest of a role's values among strictly earlier rows; what is forbidden has nothing to be the same."""
        of_role = exp.Case(
            ifs=[
                exp.If(
                    this=exp.EQ(this=column(_ROLE), expression=exp.Literal.number(role)),
                    true=column(name),
                )
            ]
        )
        partition = [KEY, *(self._same if role != _WITHOUT else [])]
        window = exp.Window(
            this=exp.Max(this=of_role),
            partition_by=[column(one) for one in partition],
            order=exp.Order(expressions=[exp.Ordered(this=column(one)) for one in (_MOMENT, _ROLE)]),
            spec=exp.WindowSpec(
                kind="ROWS",
                start="UNBOUNDED",
                start_side="PRECEDING",
                end=exp.Literal.number(1),
                end_side="PRECEDING",
            ),
        )
        return named(window, alias)

    def _is_inside(self, start: Sql, window: Window) -> Sql:
        """Whether the row's moment is no later than the window after the start: hours exact, the rest by the clocks."""
        moment = column(_MOMENT)
        if window.unit is not Unit.HOUR:
            moment, start = local(moment, self._zone), local(start, self._zone)
        number = self._parameters.bind(window.n)
        return exp.LTE(
            this=moment, expression=exp.Add(this=start, expression=_interval(number, window.unit, self._dialect))
        )


def _interval(number: Sql, unit: Unit, dialect: Dialect) -> Sql:
    """A number of hours, days or months."""
    if dialect is Dialect.DUCKDB:
        return exp.Anonymous(
            this={Unit.HOUR: "to_hours", Unit.DAY: "to_days", Unit.MONTH: "to_months"}[unit], expressions=[number]
        )
    zero = exp.Literal.number(0)
    if unit is Unit.MONTH:
        return exp.Anonymous(this="make_ym_interval", expressions=[zero, number])
    return exp.Anonymous(this="make_dt_interval", expressions=[number] if unit is Unit.DAY else [zero, number])
