"""Formulas over marts, told as formulas over the engine's coded tables."""

from datetime import UTC, date, datetime

import pytest

from segment_engine.formula import FALSE, Formula, all_of, no
from segment_engine.layout import Layout, NotKeptError, Stored, coded, coded_sequence
from segment_engine.operators import FieldType
from segment_engine.predicates import (
    Among,
    Column,
    Compared,
    Follows,
    Likeness,
    Matches,
    Order,
    Part,
    PartOf,
    Present,
    RowSet,
    Within,
)
from segment_engine.values import Unit, Window

TYPE, NOTE = Column("visit_type", FieldType.OPTION), Column("note", FieldType.TEXT)
AT, PAID = Column("at", FieldType.DATETIME), Column("paid", FieldType.MONEY)
CODE, DAY = Column("visit_type", FieldType.INTEGER), Column("at__on", FieldType.DATE)

VISITS = Stored(
    table="engine.visit",
    rows=3,
    columns=frozenset({"visit_type", "at", "paid"}),
    codes={"visit_type": ("初诊", "复查", "复诊", "洁牙")},
    known_until=datetime(2026, 1, 1, tzinfo=UTC),
)
FIRST, LAST = date(2026, 1, 1), date(2026, 1, 7)
MOMENT = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (Among(TYPE, ("复诊",)), Among(CODE, (3,))),
        (Among(TYPE, ("初诊", "洁牙")), Among(CODE, (1, 4))),
        (Among(TYPE, ("复查", "复诊")), Within(CODE, 2, 3)),
        (Among(TYPE, ("没有的",)), FALSE),
        (Present(TYPE), Within(CODE, 1, None)),
        (Matches(TYPE, Likeness.CONTAINS, "诊"), Among(CODE, (1, 3))),
        (Matches(TYPE, Likeness.STARTS_WITH, "复"), Within(CODE, 2, 3)),
        (Matches(TYPE, Likeness.ENDS_WITH, "牙"), Among(CODE, (4,))),
        (Matches(TYPE, Likeness.REGEX, "^(初|洁)"), Among(CODE, (1, 4))),
        (Within(AT, FIRST, LAST), Within(DAY, FIRST, LAST)),
        (Within(AT, MOMENT, None), Within(AT, MOMENT, None)),
        (Among(PartOf(AT, Part.MONTH), (2,)), Among(PartOf(DAY, Part.MONTH), (2,))),
        (Within(PAID, 1, 5), Within(PAID, 1, 5)),
    ],
    ids=range(13),
)
def test_texts_become_codes_and_moments_their_days(said: Formula, kept: Formula) -> None:
    assert coded(said, VISITS) == kept


def test_negations_stay_negations() -> None:
    said = all_of([Present(TYPE), no(Among(TYPE, ("初诊",)))])

    assert coded(said, VISITS) == all_of([Within(CODE, 1, None), no(Among(CODE, (1,)))])


@pytest.mark.parametrize(
    "said",
    [Matches(NOTE, Likeness.CONTAINS, "x"), Compared(TYPE, Order.EQ, NOTE), Compared(TYPE, Order.EQ, TYPE)],
    ids=range(3),
)
def test_what_is_not_kept_stays_with_the_marts(said: Formula) -> None:
    with pytest.raises(NotKeptError):
        coded(said, VISITS)


def follows(*sources: str, same: Column | None = None) -> Follows:
    return Follows(tuple(RowSet(source) for source in sources), Window(1, Unit.DAY), None, None, same)


def test_a_sequence_in_one_source_compares_codes() -> None:
    layout = Layout(10, VISITS, {"visit": VISITS})

    found = coded_sequence(follows("visit", "visit", same=TYPE), layout, lambda rows: rows.where)

    assert found.same == CODE
    assert [rows.where for rows in found.steps] == [Within(CODE, 1, None)] * 2


def test_a_sequence_over_two_dictionaries_stays_with_the_marts() -> None:
    layout = Layout(10, VISITS, {"visit": VISITS, "bill": VISITS})

    with pytest.raises(NotKeptError):
        coded_sequence(follows("visit", "bill", same=TYPE), layout, lambda rows: rows.where)
    assert coded_sequence(follows("visit", "bill", same=PAID), layout, lambda rows: rows.where).same == PAID
