"""Comparisons in memory say what they say in the database, for each value and for what is missing."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from segment_engine.formula import Formula, no
from segment_engine.operators import FieldType
from segment_engine.predicates import Among, Column, Part, PartOf, Present, Within
from segment_engine.runtime.columns import Values, different_days, read_values, truths

BORN = Column("born", FieldType.DATE)
AGE = Column("age", FieldType.INTEGER)


def held(column: Column, formula: Formula, values: Values) -> list[bool]:
    found: list[bool] = truths(formula, {column.name: values}.__getitem__, len(values.numbers)).tolist()
    return found


@pytest.mark.parametrize(
    ("part", "of"),
    [
        (Part.MONTH, lambda day: day.month),
        (Part.DAY, lambda day: day.day),
        (Part.YEARLY, lambda day: day.month * 100 + day.day),
    ],
    ids=["month", "day", "yearly"],
)
def test_parts_of_days_are_those_of_the_calendar_also_before_1970(part: Part, of: object) -> None:
    assert callable(of)
    days = [date(1967, 12, 30) + timedelta(days=ahead) for ahead in range(0, 2000, 7)]
    values = read_values(pa.chunked_array([pa.array(days, pa.date32())]))
    wanted = of(days[5])

    found = held(BORN, Among(PartOf(BORN, part), (wanted,)), values)

    assert found == [of(day) == wanted for day in days]


def test_what_is_missing_is_neither_inside_nor_there_and_its_contrary_holds() -> None:
    values = read_values(pa.chunked_array([pa.array([3, None, 0], pa.int64())]))

    inside, there, outside = (
        held(AGE, said, values) for said in (Within(AGE, 0, 3), Present(AGE), no(Within(AGE, 1, 3)))
    )

    assert (inside, there, outside) == ([True, False, True], [True, False, True], [False, True, True])


def test_no_customers_have_no_parts_of_days() -> None:
    values = read_values(pa.chunked_array([pa.array([], pa.date32())]))

    found = held(BORN, Within(PartOf(BORN, Part.YEARLY), 101, 131), values)

    assert found == []


def test_different_days_are_counted_once_each_per_customer() -> None:
    keys, days = np.array([2, 0, 2, 2, 0], np.int32), np.array([7, -3, 7, 8, -3], np.int32)

    found = different_days(keys, days, 4)

    assert found.tolist() == [1, 0, 2, 0]
