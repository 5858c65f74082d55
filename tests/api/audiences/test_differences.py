"""Differences between two filters: laws, and what a change is told as."""

from typing import Any

from hypothesis import given, settings

from api.audiences.differences import Change, differences, is_same_meaning
from segment_engine.checked import CheckedGroup
from segment_engine.describe import describe_rule
from segment_engine.parse import parse
from segment_engine.validate import validate
from tests.segment_engine.documents import ASKING, CATALOG, DOCUMENTS


def checked(document: Any) -> CheckedGroup:
    return validate(parse(document), CATALOG, ASKING)


def changes(before: Any, after: Any) -> list[Change]:
    return differences(checked(before), checked(after), lambda node: describe_rule(node, {}, None))


def told(before: Any, after: Any) -> list[tuple[str, str | None, str | None]]:
    return [(one.change, one.before_path, one.after_path) for one in changes(before, after)]


def city(name: str) -> dict[str, Any]:
    return {"kind": "attribute", "field": "city", "operator": "eq", "value": name}


def group(*rules: Any, combinator: str = "and", **more: Any) -> dict[str, Any]:
    return {"combinator": combinator, "rules": list(rules), **more}


EVERYBODY = {"kind": "everyone"}
FIRST = {"kind": "bucket", "salt": "春季", "from": 0, "to": 50}
SECOND = {"kind": "bucket", "salt": "春季", "from": 50, "to": 100}


@given(DOCUMENTS, DOCUMENTS)
@settings(max_examples=60)
def test_there_are_differences_where_two_filters_mean_different_things(before: Any, after: Any) -> None:
    assert changes(before, before) == []
    assert (changes(before, after) == []) is is_same_meaning(checked(before), checked(after))


def test_order_and_needless_groups_are_no_difference() -> None:
    assert changes(group(city("深圳"), FIRST), group(group(FIRST), city("深圳"))) == []


def test_what_is_about_the_same_thing_was_changed_and_the_rest_came_or_went() -> None:
    before, after = group(city("深圳"), EVERYBODY, FIRST), group(FIRST, city("广州"))

    (first, second) = changes(before, after)

    assert (first.change, first.before_path, first.after_path) == ("removed", "/rules/1", None)
    assert (second.change, second.before_path, second.after_path) == ("changed", "/rules/0", "/rules/1")
    assert second.before is not None
    assert second.after is not None
    assert ("深圳" in second.before.zh, "广州" in second.after.en) == (True, True)


def test_a_group_is_looked_into_and_told_when_its_rules_go_together_otherwise() -> None:
    before = group(EVERYBODY, group(city("深圳"), FIRST, combinator="or"))
    after = group(EVERYBODY, group(city("深圳"), SECOND, **{"not": True}))

    assert told(before, after) == [
        ("combined", "/rules/1", "/rules/1"),
        ("changed", "/rules/1/rules/1", "/rules/1/rules/1"),
    ]


def test_the_same_rule_twice_is_once_less_when_one_goes() -> None:
    before = group(city("深圳"), city("深圳"), FIRST, combinator="or")

    assert told(before, group(city("深圳"), SECOND, combinator="or")) == [
        ("removed", "/rules/1", None),
        ("changed", "/rules/2", "/rules/1"),
    ]
