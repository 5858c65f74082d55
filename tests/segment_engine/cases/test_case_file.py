"""Reading case files: what they say, and everything that is wrong with one, told with its place and line."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from segment_engine.cases.case_file import CaseFile, read_case_file
from segment_engine.cases.notes import BadCaseFileError
from segment_engine.operators import FieldType
from segment_engine.problems import Problem

Json = Any

WORLD: Json = {
    "zone": "Asia/Shanghai",
    "attributes": {name: name for name in FieldType},
    "sources": {"sale": {"time": "at", "known_at": "on_day", "fields": {"at": "datetime", "on_day": "date"}}},
    "customers": [{"id": 1}],
    "rows": {"sale": [{"customer": 1, "at": "2026-01-05T10:00:00+08:00"}]},
    "tags": {"12": [1]},
    "segments": {"7": []},
}
EVERYONE: Json = {"combinator": "and", "rules": [{"kind": "everyone"}]}
CASE: Json = {"name": "all", "as_of": "2026-01-31T12:00:00+08:00", "filter": EVERYONE, "expect": [1]}


def read(world: Json = WORLD, *cases: Json) -> CaseFile:
    return read_case_file(json.dumps({"world": world, "cases": list(cases or [CASE])}))


def told(text: str) -> tuple[Problem, ...]:
    with pytest.raises(BadCaseFileError) as refused:
        read_case_file(text)
    assert all(problem.message_zh and problem.message_en for problem in refused.value.problems)
    return refused.value.problems


def problems(world: Json = WORLD, *cases: Json) -> list[tuple[str, str]]:
    text = json.dumps({"world": world, "cases": list(cases or [CASE])})
    return [(problem.code, problem.path) for problem in told(text)]


def customer(**values: Json) -> Json:
    return {**WORLD, "customers": [{"id": 1, **values}]}


def test_excluded_clinics_are_texts_as_they_are_stored() -> None:
    assert read().world.excluded_clinics == frozenset()
    assert read({**WORLD, "excluded_clinics": [" Ｃ1 ", "C1", "门诊二"]}).world.excluded_clinics == {"C1", "门诊二"}
    assert problems({**WORLD, "excluded_clinics": "C1"}) == [("wrong_type", "/world/excluded_clinics")]
    assert problems({**WORLD, "excluded_clinics": ["C1", 7]}) == [("wrong_type", "/world/excluded_clinics/1")]


def test_values_are_stored_as_loading_stores_them() -> None:
    world = read(
        customer(
            text=" ＡＢＣ ", option="　", options=[" b", "a", "b", ""], integer=-1, decimal=0.1, money=12.5,
            boolean=False, date="2024-02-29", datetime="2026-01-05T02:00:00Z",
        )
    ).world  # fmt: skip

    moment = datetime(2026, 1, 5, 2, tzinfo=UTC)
    assert world.customers[1] == {
        "text": "ABC", "options": ("a", "b"), "integer": -1, "decimal": Decimal("0.1"), "money": 1250,
        "boolean": False, "date": date(2024, 2, 29), "datetime": moment,
    }  # fmt: skip
    assert str(world.customers[1]["datetime"]) == "2026-01-05 10:00:00+08:00"


@pytest.mark.parametrize(
    ("name", "missing"), [("text", ""), ("text", None), ("option", " "), ("options", []), ("options", [" "])]
)
def test_nothing_and_what_is_empty_is_missing(name: str, missing: Json) -> None:
    assert read(customer(**{name: missing})).world.customers[1] == {}


def test_a_moment_without_an_offset_is_one_of_the_zone() -> None:
    world = read(customer(datetime="1988-07-01 00:00")).world

    assert world.customers[1]["datetime"] == datetime(1988, 6, 30, 15, tzinfo=UTC)


def test_a_file_without_a_zone_is_of_shanghai_and_parts_may_be_left_out() -> None:
    file = read({"customers": [{"id": 1}]})

    assert file.world.zone.key == "Asia/Shanghai"
    assert (file.world.catalog.sources, file.world.tags) == ({}, {})


def test_the_catalogue_is_what_the_world_names() -> None:
    catalog = read().world.catalog

    assert catalog.customers == "world.customer"
    assert [field.type for field in catalog.attributes.values()] == list(FieldType)
    source = catalog.sources["sale"]
    assert (source.table, source.time, source.known_at) == ("world.sale", "at", "on_day")


def test_yaml_says_the_same_as_json() -> None:
    text = """
world: {attributes: {born: date, at: datetime}, customers: [{id: 1, born: 2000-01-01, at: 2026-01-01T00:00:00Z}]}
cases:
  - {name: all, as_of: 2026-01-31T12:00:00+08:00, filter: {combinator: and, rules: [{kind: everyone}]}, expect: [1]}
"""

    file = read_case_file(text)

    assert file.world.customers[1]["born"] == date(2000, 1, 1)
    assert file.cases[0].expect == frozenset({1})
    assert file.cases[0].as_of == datetime(2026, 1, 31, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("world", "found"),
    [
        ({**WORLD, "people": []}, ("unknown_member", "/world/people")),
        ({**WORLD, "zone": "Mars/Olympus"}, ("wrong_type", "/world/zone")),
        ({**WORLD, "zone": 8}, ("wrong_type", "/world/zone")),
        ({**WORLD, "attributes": {"city": "string"}}, ("unknown_type", "/world/attributes/city")),
        ({**WORLD, "attributes": {"customer_key": "integer"}}, ("bad_name", "/world/attributes/customer_key")),
        ({**WORLD, "attributes": {'a" b': "integer"}}, ("bad_name", '/world/attributes/a" b')),
        ({**WORLD, "attributes": {"a": "text", "A": "text"}}, ("duplicate", "/world/attributes/A")),
        ({**WORLD, "sources": {"customer": {"time": "a", "fields": {"a": "date"}}}, "rows": {}},
         ("bad_name", "/world/sources/customer")),
        ({**WORLD, "sources": {"sale": {"fields": {"at": "date"}}}, "rows": {}},
         ("missing_member", "/world/sources/sale/time")),
        ({**WORLD, "sources": {"sale": {"time": "n", "fields": {"n": "integer"}}}, "rows": {}},
         ("wrong_type", "/world/sources/sale/time")),
        ({**WORLD, "sources": {"sale": {"time": "d", "known_at": "x", "fields": {"d": "date"}}}, "rows": {}},
         ("wrong_type", "/world/sources/sale/known_at")),
        ({**WORLD, "customers": [{"id": 1}, {"id": 1}]}, ("duplicate", "/world/customers/1/id")),
        ({**WORLD, "customers": [{"id": 1}, {"id": "2"}]}, ("wrong_type", "/world/customers/1/id")),
        ({**WORLD, "customers": [{"id": 1}, {"id": True}]}, ("wrong_type", "/world/customers/1/id")),
        ({**WORLD, "customers": [{"id": 1}, {"id": 1 << 31}]}, ("wrong_type", "/world/customers/1/id")),
        ({**WORLD, "customers": [{"id": 1}, {}]}, ("missing_member", "/world/customers/1/id")),
        (customer(nope=1), ("unknown_member", "/world/customers/0/nope")),
        ({**WORLD, "rows": {"nope": []}}, ("unknown_source", "/world/rows/nope")),
        ({**WORLD, "rows": {"sale": [{"customer": 2}]}}, ("unknown_customer", "/world/rows/sale/0/customer")),
        ({**WORLD, "rows": {"sale": [{"customer": 1, "paid": 1}]}}, ("unknown_member", "/world/rows/sale/0/paid")),
        ({**WORLD, "rows": {"sale": {}}}, ("wrong_type", "/world/rows/sale")),
        ({**WORLD, "tags": {"x": [1]}}, ("wrong_type", "/world/tags/x")),
        ({**WORLD, "tags": {"12": [2]}}, ("unknown_customer", "/world/tags/12/0")),
        ({**WORLD, "segments": {"7": 1}}, ("wrong_type", "/world/segments/7")),
    ],
)  # fmt: skip
def test_a_world_that_contradicts_itself_is_refused(world: Json, found: tuple[str, str]) -> None:
    assert problems(world) == [found]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", 1), ("text", "a\0"), ("text", "\ud800"), ("option", True), ("options", "a"), ("options", [1]),
        ("integer", 1.0), ("integer", True), ("integer", 1 << 63), ("integer", "1"), ("decimal", "0.1"),
        ("decimal", 0.1234567), ("decimal", 10**12), ("decimal", True), ("money", 0.125), ("money", "1"),
        ("money", 10**17), ("boolean", 1), ("boolean", "true"), ("date", "2025-02-29"), ("date", "2025-1-1"),
        ("date", 20250101), ("datetime", "2025-01-01"), ("datetime", "2025-01-01T25:00:00"),
        ("datetime", "0001-01-01T00:00:00+08:00"), ("datetime", "2025-W01-1T00:00:00"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(name: str, value: Json) -> None:
    assert problems(customer(**{name: value})) == [("wrong_type", f"/world/customers/0/{name}")]


@pytest.mark.parametrize(
    ("case", "found"),
    [
        ({**CASE, "name": " "}, ("wrong_type", "/cases/0/name")),
        ({key: CASE[key] for key in ("as_of", "filter", "expect")}, ("missing_member", "/cases/0/name")),
        ({key: CASE[key] for key in ("as_of", "name", "expect")}, ("missing_member", "/cases/0/filter")),
        ({key: CASE[key] for key in ("name", "filter", "expect")}, ("missing_member", "/cases/0/as_of")),
        ({key: CASE[key] for key in ("name", "filter", "as_of")}, ("missing_member", "/cases/0/expect")),
        ({**CASE, "problem": {}}, ("missing_member", "/cases/0/expect")),
        ({**CASE, "expected": [1]}, ("unknown_member", "/cases/0/expected")),
        ({**CASE, "as_of": "2026-01-31"}, ("wrong_type", "/cases/0/as_of")),
        ({**CASE, "expect": [2]}, ("unknown_customer", "/cases/0/expect/0")),
        ({**CASE, "expect": [1, 1]}, ("duplicate", "/cases/0/expect/1")),
        ({**CASE, "expect": 1}, ("wrong_type", "/cases/0/expect")),
        ({"name": "x", "filter": None, "problem": {"line": 1}}, ("unknown_member", "/cases/0/problem/line")),
        ({"name": "x", "filter": None, "problem": {"code": 1}}, ("wrong_type", "/cases/0/problem/code")),
    ],
)
def test_a_case_that_is_no_case_is_refused(case: Json, found: tuple[str, str]) -> None:
    assert problems(WORLD, case) == [found]


def test_a_world_that_is_no_object_is_refused() -> None:
    assert problems([], {**CASE, "expect": []}) == [("wrong_type", "/world")]


def test_two_cases_of_one_name_are_refused() -> None:
    assert problems(WORLD, CASE, CASE) == [("duplicate", "/cases/1/name")]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    found = problems({**WORLD, "zone": "x", "tags": {"12": [9]}}, {**CASE, "expect": [3]})

    assert [path for _, path in found] == ["/world/zone", "/world/tags/12/0", "/cases/0/expect/0"]


def test_a_problem_of_yaml_is_told_with_its_line() -> None:
    (problem,) = told("world:\n  customers:\n    - {id: 1}\n    - id: x\ncases: []\n")

    assert (problem.code, problem.path) == ("wrong_type", "/world/customers/1/id")
    assert problem.message_en.startswith("Line 4: ")
    assert problem.message_zh.startswith("第 4 行:")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("world: {}\nworld: {}\ncases: []\n", "Line 2: This is no readable YAML: duplicate key 'world'"),
        ('{"world": {}, "world": {}, "cases": []}', "duplicate key 'world'"),
        ("world: [\n", "no readable YAML"),
        ("world: {? [1]: 2}\n", "no readable YAML"),
        ("a: !!python/object:os.system {}\n", "no readable YAML"),
        ("\0", "no readable YAML"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused(text: str, word: str) -> None:
    (problem,) = told(text)

    assert (problem.code, problem.path) == ("not_readable", "")
    assert word in problem.message_en


@pytest.mark.parametrize("text", ["", "null", "[]", "1"])
def test_a_file_without_a_world_is_refused(text: str) -> None:
    assert [(problem.code, problem.path) for problem in told(text)] == [("wrong_type", "")]
