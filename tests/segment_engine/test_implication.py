"""Whether a formula can hold: "no" is said only where no value and no row makes it hold, and in bounded time."""

import random
from time import perf_counter

import pytest

from segment_engine.formula import TRUE, Formula, all_of, any_of, no
from segment_engine.implication import Judge
from segment_engine.operators import FieldType
from segment_engine.predicates import COUNT, Among, Column, HasRows, InBucket, OfRows, Present, RowSet, Within
from tests.segment_engine.test_tidy import drawn, holds, worlds

AGE, FEE = Column("age", FieldType.INTEGER), Column("fee", FieldType.MONEY)
VISITS = RowSet("visit")
DEAR, DEARER = RowSet("visit", Within(FEE, 10, None)), RowSet("visit", Within(FEE, 20, None))
SCANS = RowSet("image", Within(FEE, 20, None))


def test_what_cannot_hold_holds_nowhere() -> None:
    random_ = random.Random(7)
    everywhere, empty = worlds(), 0
    for _ in range(1_500):
        groups = [any_of(drawn(random_) for _ in range(random_.randrange(1, 3))) for _ in range(4)]

        if Judge().is_empty(*groups):
            empty += 1
            formula = all_of(groups)
            assert not any(holds(formula, world) for world in everywhere), formula
    assert empty > 100


@pytest.mark.parametrize(
    "formulas",
    [
        (Present(AGE), no(Present(AGE))),
        (Among(AGE, (1,)), no(Present(AGE))),
        (Among(AGE, (1, 2)), no(Among(AGE, (1, 2, 3)))),
        (Within(AGE, 3, 4), no(Within(AGE, 1, 9))),
        (any_of([Among(AGE, (1,)), Among(AGE, (2,))]), any_of([Within(AGE, 3, None), no(Present(AGE))])),
        (HasRows(DEARER), no(HasRows(DEAR))),
        (OfRows(DEAR, Within(COUNT, 3, None)), no(HasRows(VISITS))),
        (InBucket("s", 0, 10), InBucket("s", 10, 20)),
        (InBucket("s", 5, 10), no(InBucket("s", 0, 10))),
    ],
    ids=range(9),
)
def test_what_contradicts_itself_cannot_hold(formulas: tuple[Formula, ...]) -> None:
    assert Judge().is_empty(*formulas)


@pytest.mark.parametrize(
    "formulas",
    [
        (TRUE,),
        (Among(AGE, (1, 2)), no(Among(AGE, (1,)))),
        (HasRows(DEAR), no(HasRows(DEARER))),
        (HasRows(SCANS), no(HasRows(DEAR))),
        (OfRows(DEAR, Within(COUNT, None, 3)), no(HasRows(VISITS))),
        (InBucket("s", 0, 10), InBucket("t", 10, 20)),
        (InBucket("s", 0, 10), no(InBucket("s", 5, 10))),
    ],
    ids=range(7),
)
def test_what_somebody_may_be_can_hold(formulas: tuple[Formula, ...]) -> None:
    assert not Judge().is_empty(*formulas)


def test_a_thing_or_its_contrary_is_everything() -> None:
    assert Judge().is_everything(any_of([Within(AGE, 3, None), no(Within(AGE, 5, None))]))
    assert not Judge().is_everything(any_of([Within(AGE, 5, None), no(Within(AGE, 3, None))]))


def test_a_judge_tires_and_then_says_that_it_may_hold() -> None:
    choices = [any_of([Among(AGE, (n,)), Among(FEE, (n,))]) for n in range(64)]
    judge = Judge()
    began = perf_counter()

    answers = {judge.is_empty(*choices) for _ in range(100)}

    assert answers == {False}
    assert not judge.is_empty(Present(AGE), no(Present(AGE)))
    assert perf_counter() - began < 10
