"""Many filters as one plan: what is equal is found out once, and what is referred to is finished first."""

from itertools import pairwise
from typing import Any

import pytest

from segment_engine.compile import check, compile_many
from segment_engine.depends import Dependencies, depends_on
from segment_engine.predicates import InAudience
from segment_engine.references import CycleError, dependants_of, in_order, levels
from segment_engine.tree import AudienceKind
from segment_engine.validate import Asking
from tests.segment_engine.documents import CATALOG
from tests.segment_engine.test_compile import AS_OF

Json = Any
ASKING = Asking(tags=frozenset(range(1, 20)), segments=frozenset(range(1, 20)))


def checked(*rules: Json, combinator: str = "and") -> Any:
    return check({"combinator": combinator, "rules": list(rules)}, CATALOG, ASKING)


def activity(occurrence: str = "did", *, count: int | None = None, days: int = 30) -> Json:
    where = {"field": "arrived_at", "operator": "within_past", "value": {"n": days, "unit": "day"}}
    having = {} if count is None else {"having": [{"metric": "count", "operator": "gte", "value": count}]}
    return {
        "kind": "activity",
        "source": "appointment",
        "occurrence": occurrence,
        "where": {"combinator": "and", "rules": [where]},
        **having,
    }


def segment(number: int, operator: str = "in") -> Json:
    return {"kind": "segment", "operator": operator, "segment_ids": [number]}


def of_segments(**filters: Any) -> dict[InAudience, Any]:
    return {InAudience(AudienceKind.SEGMENT, int(name[1:])): filter_ for name, filter_ in filters.items()}


def test_who_did_and_who_did_not_share_one_leaf() -> None:
    plan = compile_many({"did": checked(activity()), "did not": checked(activity("did_not"))}, AS_OF)

    assert (plan.leaves, plan.uses, len(plan.scans)) == (1, 2, 1)


def test_thresholds_on_one_aggregate_share_its_rows() -> None:
    filters = {count: checked(activity(count=count)) for count in (1, 2, 5)}

    plan = compile_many(filters, AS_OF)

    assert [len(scan.things) for scan in plan.scans] == [3]
    assert plan.scans[0].uses == 3


def test_windows_are_rows_of_their_own() -> None:
    plan = compile_many({days: checked(activity(days=days)) for days in (7, 30)}, AS_OF)

    assert len(plan.scans) == 2


def test_equal_attributes_are_asked_once_whoever_asks() -> None:
    woman = {"kind": "attribute", "field": "gender", "operator": "eq", "value": "女"}

    plan = compile_many({number: checked(woman, activity(count=number + 1)) for number in range(4)}, AS_OF)

    assert list(plan.of_customers.values()) == [4]


def test_a_segment_in_the_plan_is_finished_before_those_that_ask_it() -> None:
    filters = of_segments(s1=checked(segment(2)), s2=checked(segment(3), segment(4)), s3=checked(segment(4)))

    plan = compile_many(filters | of_segments(s4=checked(activity())), AS_OF)

    assert [key.id for key in plan.formulas if isinstance(key, InAudience)] == [4, 3, 2, 1]
    assert plan.audiences == {}


def test_a_segment_outside_the_plan_is_asked_for() -> None:
    plan = compile_many({"one": checked(segment(7, "not_in"), segment(8)), "other": checked(segment(7))}, AS_OF)

    assert plan.audiences == {InAudience(AudienceKind.SEGMENT, 7): 2, InAudience(AudienceKind.SEGMENT, 8): 1}


def test_a_circle_is_refused_naming_its_path() -> None:
    filters = of_segments(s1=checked(segment(2)), s2=checked(segment(3)), s3=checked(segment(1)))

    with pytest.raises(CycleError) as refused:
        compile_many(filters, AS_OF)

    ids = [one.id for one in refused.value.path if isinstance(one, InAudience)]
    assert ids[0] == ids[-1]
    assert set(ids) == {1, 2, 3}
    assert all(after == before % 3 + 1 for before, after in pairwise(ids))


def test_one_that_refers_to_itself_is_a_circle_and_a_diamond_is_none() -> None:
    with pytest.raises(CycleError) as refused:
        in_order({"a": ["a"]})

    assert refused.value.path == ("a", "a")
    assert in_order({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []})[0] == "d"


def test_dependants_come_after_all_that_they_refer_to_and_levels_count_the_longest_way_down() -> None:
    references = {"top": ["left", "right"], "left": ["base"], "right": ["left", "other"], "alone": ["other"]}

    dependants = dependants_of(references, ["base"])

    assert dependants == ["left", "right", "top"]
    assert set(dependants_of(references, ["other", "right"])) == {"alone", "top"}
    assert dependants_of(references, ["top", "unknown"]) == []
    assert levels(references) == {"base": 1, "other": 1, "left": 2, "alone": 2, "right": 3, "top": 4}


def test_dependencies_are_everything_that_a_filter_names() -> None:
    sequence = {
        "kind": "sequence", "occurrence": "did", "same": "clinic_id", "within": {"n": 1, "unit": "day"},
        "steps": [{"source": "appointment"}, {"source": "mini_program_event"}],
    }  # fmt: skip
    fields = {"kind": "attribute", "field": "city", "operator": "eq", "value": {"field": "home_city"}}

    found = depends_on(checked(fields, activity(count=2), sequence, segment(7), {**segment(3), "kind": "segment"}))

    assert found == Dependencies(
        fields=frozenset(
            {"city", "home_city", "appointment.arrived_at", "appointment.clinic_id", "mini_program_event.clinic_id"}
        ),
        sources=frozenset({"appointment", "mini_program_event"}),
        tags=frozenset(),
        segments=frozenset({3, 7}),
    )
