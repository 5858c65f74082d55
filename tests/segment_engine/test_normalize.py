"""What filters mean, as formulas and fingerprints: the same for filters that say the same, another for any other."""

from typing import Any

import pytest

from segment_engine.compile import check
from segment_engine.fingerprint import fingerprint
from segment_engine.formula import FALSE, TRUE, Formula, No
from segment_engine.normalize import normalize
from segment_engine.predicates import COUNT, HasRows, OfRows, Within
from tests.segment_engine.documents import ASKING, CATALOG

Json = Any


def meant(*rules: Json, combinator: str = "and", **more: Json) -> Formula:
    return normalize(check({"combinator": combinator, "rules": list(rules), **more}, CATALOG, ASKING))


def attribute(field: str, operator: str, value: Json = None, **more: Json) -> Json:
    given = {} if value is None else {"value": value}
    return {"kind": "attribute", "field": field, "operator": operator, **given, **more}


def visited(**more: Json) -> Json:
    return {"kind": "activity", "source": "appointment", "occurrence": "did", **more}


WOMAN, PARIS = attribute("gender", "eq", "女"), attribute("city", "eq", "巴黎")
RICH = attribute("points", "gt", 10)

SAME = {
    "order": (meant(WOMAN, PARIS), meant(PARIS, WOMAN)),
    "nesting": (meant(WOMAN, {"combinator": "and", "rules": [PARIS, RICH]}), meant(RICH, PARIS, WOMAN)),
    "repetition": (meant(WOMAN, WOMAN), meant(WOMAN)),
    "not and": (meant(WOMAN, PARIS, **{"not": True}), meant(
        {"combinator": "and", "rules": [WOMAN], "not": True}, {"combinator": "and", "rules": [PARIS], "not": True},
        combinator="or",
    )),
    "in and or": (meant(attribute("city", "in", ["a", "b"])), meant(
        attribute("city", "eq", "b"), attribute("city", "eq", "a"), combinator="or")),
    "range": (meant(attribute("points", "between", [3, 6])), meant(
        attribute("points", "gte", 3), attribute("points", "lte", 6))),
    "whole numbers": (meant(attribute("points", "gt", 2)), meant(attribute("points", "gte", 3))),
    "weeks": (
        meant(attribute("birthday", "within_past", {"n": 2, "unit": "week"})),
        meant(attribute("birthday", "within_past", {"n": 14, "unit": "day"})),
    ),
    "years": (
        meant(attribute("birthday", "before_past", {"n": 1, "unit": "year"})),
        meant(attribute("birthday", "before_past", {"n": 12, "unit": "month"})),
    ),
    "once": (meant(visited()), meant(visited(having=[{"metric": "count", "operator": "gte", "value": 1}]))),
    "did not": (meant({**visited(), "occurrence": "did_not"}), meant(visited(), **{"not": True})),
    "texts": (meant(attribute("city", "eq", " ＡＢ ")), meant(attribute("city", "eq", "AB"))),
    "money": (meant(attribute("balance", "eq", 10)), meant(attribute("balance", "eq", 10.00))),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_filters_of_one_meaning_have_one_formula_and_one_fingerprint(name: str) -> None:
    one, other = SAME[name]

    assert one == other
    assert fingerprint(one) == fingerprint(other)


DIFFERENT = {
    "null policy": (meant(attribute("city", "neq", "a")), meant(attribute("city", "neq", "a", null_policy="match"))),
    "zero": tuple(
        meant(visited(having=[{"metric": "count", "operator": "lt", "value": 2}], **more))
        for more in ({}, {"include_zero": True})
    ),
    "decimals": (meant(attribute("rate", "gt", 2)), meant(attribute("rate", "gte", 3))),
    "averages": tuple(
        meant(visited(having=[{"metric": "avg", "field": "minutes", "operator": operator, "value": value}]))
        for operator, value in (("gt", 2), ("gte", 3))
    ),
    "today": tuple(
        meant(attribute("birthday", "within_past", {"n": 7, "unit": "day", "include_today": included}))
        for included in (True, False)
    ),
    "same row": (
        meant(visited(where={"combinator": "and", "rules": [
            {"field": "note", "operator": "eq", "value": "a"}, {"field": "minutes", "operator": "gt", "value": 1}]})),
        meant(visited(where={"combinator": "and", "rules": [{"field": "note", "operator": "eq", "value": "a"}]}),
              visited(where={"combinator": "and", "rules": [{"field": "minutes", "operator": "gt", "value": 1}]})),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENT)
def test_filters_of_different_meanings_have_different_fingerprints(name: str) -> None:
    one, other = DIFFERENT[name]

    assert fingerprint(one) != fingerprint(other)


def test_a_count_of_at_most_so_many_begins_at_one_unless_zero_is_included() -> None:
    few = visited(having=[{"metric": "count", "operator": "lte", "value": 5}])

    without_zero, with_zero = meant(few), meant({**few, "include_zero": True})

    assert isinstance(without_zero, OfRows)
    assert without_zero.predicate == Within(COUNT, 1, 5)
    assert isinstance(with_zero, OfRows)
    assert with_zero.predicate == Within(COUNT, None, 5)


def test_not_having_rows_is_the_contrary_of_having_them() -> None:
    did, did_not = meant(visited()), meant({**visited(), "occurrence": "did_not"})

    assert isinstance(did, HasRows)
    assert did_not == No(did)


def test_everyone_and_contradictions_are_known_without_data() -> None:
    assert meant({"kind": "everyone"}) == TRUE
    assert meant(WOMAN, WOMAN, **{"not": True}, combinator="or") == meant(WOMAN, **{"not": True})
    assert meant(attribute("points", "gt", 6), attribute("points", "lt", 3)) == FALSE
    assert meant(WOMAN, {"combinator": "and", "rules": [WOMAN], "not": True}) == FALSE


def test_a_number_is_one_number_however_it_is_written() -> None:
    four, point_zero = meant(attribute("rate", "eq", 4)), meant(attribute("rate", "eq", 4.0))

    assert fingerprint(four) == fingerprint(point_zero)
    assert fingerprint(meant(attribute("rate", "gte", 0))) == fingerprint(meant(attribute("rate", "gte", -0.0)))
    assert fingerprint(meant(attribute("rate", "eq", 100))) != fingerprint(meant(attribute("rate", "eq", 10)))
