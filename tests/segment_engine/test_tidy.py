"""Making formulas smaller changes nothing: told by trying every value there is, missing ones included."""

import random
from datetime import date, timedelta
from typing import Any

import pytest

from segment_engine.formula import FALSE, TRUE, All, Always, Formula, No, Some, all_of, any_of, no
from segment_engine.operators import FieldType
from segment_engine.predicates import COUNT, Among, Column, HasRows, OfRows, Predicate, Present, RowSet, Within
from segment_engine.tidy import tidy, within

AGE, PAID = Column("age", FieldType.INTEGER), Column("paid", FieldType.DECIMAL)
BORN = Column("born", FieldType.DATE)
ROWS = RowSet("visit")
FIRST = date(2026, 1, 1)


def says(predicate: Predicate, value: Any) -> bool:
    if value is None:
        return False
    match predicate:
        case Among(_, values):
            return value in values
        case Within(_, low, high, includes_low, includes_high):
            from_low = low is None or value > low or (includes_low and value == low)
            return from_low and (high is None or value < high or (includes_high and value == high))
    return True


def holds(formula: Formula, world: dict[str, Any]) -> bool:
    match formula:
        case Always(value):
            return value
        case No(part):
            return not holds(part, world)
        case All(parts):
            return all(holds(part, world) for part in parts)
        case Some(parts):
            return any(holds(part, world) for part in parts)
        case HasRows():
            return bool(world["count"])
        case OfRows(_, predicate):
            return says(predicate, world["count"])
    return says(formula, world[formula.term.name])  # type: ignore[arg-type, union-attr]


def drawn(random_: random.Random) -> Formula:
    term, values = random_.choice(
        [(AGE, list(range(6))), (PAID, list(range(6))), (BORN, [FIRST + timedelta(days=n) for n in range(6)])]
    )
    predicate = drawn_of(random_, term, values)
    if random_.random() < 0.4:
        of_count = drawn_of(random_, COUNT, list(range(4)))  # type: ignore[arg-type]
        predicate = HasRows(ROWS) if random_.random() < 0.3 else counted(of_count)
    return no(predicate) if random_.random() < 0.3 else predicate


def drawn_of(random_: random.Random, term: Column, values: list[Any]) -> Formula:
    kind = random_.random()
    if kind < 0.2:
        return Present(term)
    if kind < 0.5:
        return Among(term, tuple(sorted(random_.sample(values, random_.randrange(1, 4)))))
    low, high = random_.choice([None, *values]), random_.choice([None, *values])
    return within(term, low, high, includes_low=random_.random() < 0.5, includes_high=random_.random() < 0.5)


def counted(formula: Formula) -> Formula:
    return formula if isinstance(formula, Always) else OfRows(ROWS, formula)  # type: ignore[arg-type]


def worlds() -> list[dict[str, Any]]:
    days = [None, *(FIRST + timedelta(days=n) for n in range(6))]
    return [
        {"age": age, "paid": paid, "born": born, "count": count}
        for age in (None, 0, 2, 3, 5)
        for paid in (None, 1, 4)
        for born in days[::2]
        for count in range(4)
    ]


def test_a_tidy_formula_holds_where_the_formula_holds() -> None:
    random_ = random.Random(5)
    for _ in range(600):
        groups = [[drawn(random_) for _ in range(random_.randrange(1, 5))] for _ in range(2)]
        formula = any_of([all_of(groups[0]), all_of(groups[1])]) if random_.random() < 0.5 else all_of(
            [any_of(groups[0]), any_of(groups[1])]
        )  # fmt: skip

        smaller = tidy(formula)

        assert tidy(smaller) == smaller
        for world in worlds():
            assert holds(smaller, world) == holds(formula, world), (formula, smaller, world)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (all_of([within(AGE, 3, None), within(AGE, None, 6)]), Within(AGE, 3, 6)),
        (all_of([within(AGE, 3, None, includes_low=False), within(AGE, None, 4)]), Among(AGE, (4,))),
        (all_of([within(AGE, 7, None), within(AGE, None, 6)]), FALSE),
        (any_of([Among(AGE, (1,)), Among(AGE, (2,))]), Among(AGE, (1, 2))),
        (all_of([Present(AGE), Among(AGE, (1,))]), Among(AGE, (1,))),
        (any_of([Present(AGE), Among(AGE, (1,))]), Present(AGE)),
        (all_of([Among(AGE, (1, 5)), within(AGE, None, 3)]), Among(AGE, (1,))),
        (OfRows(ROWS, Within(COUNT, 1, None)), HasRows(ROWS)),
        (all_of([HasRows(ROWS), OfRows(ROWS, Within(COUNT, None, 5))]), OfRows(ROWS, Within(COUNT, 1, 5))),
        (all_of([HasRows(ROWS), OfRows(ROWS, Among(COUNT, (0,)))]), FALSE),
        (HasRows(RowSet("visit", FALSE)), FALSE),
        (OfRows(RowSet("visit", FALSE), Within(COUNT, None, 2)), TRUE),
        (OfRows(RowSet("visit", FALSE), Within(COUNT, 2, None)), FALSE),
    ],
    ids=range(13),
)
def test_what_follows_from_a_neighbour_is_left_out(said: Formula, meant: Formula) -> None:
    assert tidy(said) == meant
