"""What request models are built from, through a route: which values pass, which problem each other one is."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from pydantic_core.core_schema import ErrorType

from api.wording import CHINESE, UNKNOWN, chinese
from tests.api.probe import Thing, ThingQuery, found, probe_client


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    return probe_client(tmp_path)


@pytest.mark.parametrize(
    ("member", "given", "kept"),
    [
        ("name", "  cafe\u0301 \u3000", "café"),
        ("name", "一二三四五六七八九十", "一二三四五六七八九十"),
        ("name", "😀" * 10, "😀" * 10),
        ("name", "e\u0301" * 10, "é" * 10),
        ("name", "👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        ("name", "\ue000", "\ue000"),
        ("notes", "a\r\nb\tc", "a\nb\tc"),
        ("raw", "  cafe\u0301\n ", "  café\n "),
        ("channel", "patient", "patient"),
        ("starts_on", "1900-01-01", "1900-01-01"),
        ("starts_on", "2200-12-31", "2200-12-31"),
        ("starts_on", "2024-02-29", "2024-02-29"),
        ("at", "2025-06-01T23:59:59.999999+14:00", "2025-06-01T09:59:59.999999Z"),
        ("at", "2025-06-01T00:00:00Z", "2025-06-01T00:00:00Z"),
        ("at", "1988-07-01T00:00:00+09:00", "1988-06-30T15:00:00Z"),
        ("count", -0, 0),
        ("is_open", True, True),
        ("rule", {"kind": "group", "rules": [{"kind": "compare", "value": 1}]}, None),
    ],
)
def test_a_value_of_the_right_type_passes(client: TestClient, member: str, given: Any, kept: Any) -> None:
    answer = client.post("/probe/things", json={member: given})

    assert answer.status_code == 200
    assert answer.json()["thing"][member] == (given if kept is None else kept)


@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        *(("name", blank, "string_too_short") for blank in ("\u3000", "\u200d", "\ufe0f\u00ad", "\u3164", "\u2800")),
        ("count", True, "int_type"),
        ("count", "1", "int_type"),
        ("count", 1.0, "int_type"),
        ("count", {"$gt": 1}, "int_type"),
        ("count", [1], "int_type"),
        ("count", None, "int_type"),
        ("count", -1, "greater_than_equal"),
        ("count", 2**63 - 1, "less_than_equal"),
        ("share", "0.5", "float_type"),
        ("share", True, "float_type"),
        ("share", 1, "less_than"),
        ("is_open", 1, "bool_type"),
        ("is_open", "true", "bool_type"),
        ("name", 1, "string_type"),
        ("name", ["x"], "string_type"),
        ("name", " \u3000\t", "string_too_short"),
        ("name", "x" * 11, "string_too_long"),
        ("name", "a\nb", "control_character"),
        ("name", "a\u202eb", "control_character"),
        ("name", "a\u200fb", "control_character"),
        ("name", "a\u0085b", "control_character"),
        ("notes", "a\x1bb", "control_character"),
        ("notes", "a\rb", "control_character"),
        ("notes", "a\u2028b", "control_character"),
        ("channel", "Patient", "enum"),
        ("channel", 1, "enum"),
        ("channel", None, "enum"),
        ("size", "medium", "literal_error"),
        ("starts_on", "2025-02-29", "date_parsing"),
        ("starts_on", "2025-13-01", "date_parsing"),
        ("starts_on", "2025-1-1", "date_parsing"),
        ("starts_on", "20250101", "date_parsing"),
        ("starts_on", "2025-W01-1", "date_parsing"),
        ("starts_on", "2025-01-01T00:00:00", "date_parsing"),
        ("starts_on", " 2025-01-01", "date_parsing"),
        ("starts_on", "２０２５-01-01", "date_parsing"),
        ("starts_on", "0000-01-01", "date_parsing"),
        ("starts_on", "10000-01-01", "date_parsing"),
        ("starts_on", "1899-12-31", "day_out_of_range"),
        ("starts_on", "2201-01-01", "day_out_of_range"),
        ("starts_on", 1735689600, "date_type"),
        ("at", "2025-06-01T24:00:00Z", "datetime_parsing"),
        ("at", "2025-06-01T23:59:60Z", "datetime_parsing"),
        ("at", "2025-06-01T00:00:00", "datetime_parsing"),
        ("at", "2025-06-01", "datetime_parsing"),
        ("at", "2025-06-01T00:00:00.1234567Z", "datetime_parsing"),
        ("at", "2025-06-01T00:00:00+24:00", "datetime_parsing"),
        ("at", "2025-06-01 00:00:00Z", "datetime_parsing"),
        ("at", "0001-01-01T00:00:00+14:00", "moment_out_of_range"),
        ("at", "9999-12-31T23:59:59-14:00", "moment_out_of_range"),
        ("at", 1735689600, "datetime_type"),
        ("tags", [], "too_short"),
        ("tags", ["a", "b", "c"], "too_long"),
        ("tags", "ab", "list_type"),
        ("settings", [], "dict_type"),
        ("rule", {"kind": "drop table"}, "union_tag_invalid"),
        ("rule", {}, "union_tag_not_found"),
        ("rule", 1, "model_attributes_type"),
        ("colour", "red", "extra_forbidden"),
        ("__proto__", {}, "extra_forbidden"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_place(
    client: TestClient, member: str, value: Any, code: str
) -> None:
    answer = client.post("/probe/things", json={member: value})

    assert answer.status_code == 422
    assert found(answer) == {(code, f"/{member}")}
    assert answer.json()["problems"][0]["message_zh"] != UNKNOWN


def test_a_place_is_a_pointer_into_the_body_that_was_sent(client: TestClient) -> None:
    rule = {"kind": "group", "rules": [{"kind": "compare", "value": 1}, {"kind": "compare", "x/y~z": 1}]}

    answer = client.post("/probe/things", json={"rule": rule, "tags": ["ok", ""]})

    assert found(answer) == {
        ("missing", "/rule/rules/1/value"),
        ("extra_forbidden", "/rule/rules/1/x~1y~0z"),
        ("string_too_short", "/tags/1"),
    }


@pytest.mark.parametrize("body", ["[]", '"x"', "1", "null", "true"])
def test_a_body_that_is_no_object_is_refused(client: TestClient, body: str) -> None:
    answer = client.post("/probe/things", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 422
    assert {path for _, path in found(answer)} == {""}


@pytest.mark.parametrize(
    ("query", "kept"),
    [("limit=020", {"limit": 20}), ("is_open=false", {"is_open": False}), ("on=2024-02-29", {"on": "2024-02-29"})],
)
def test_a_query_says_numbers_truths_and_days_in_one_way(client: TestClient, query: str, kept: dict[str, Any]) -> None:
    answer = client.get(f"/probe/things?{query}").json()

    assert answer | kept == answer


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "greater_than_equal"),
        ("limit=-1", "greater_than_equal"),
        ("limit=21", "less_than_equal"),
        ("limit=9223372036854775808", "less_than_equal"),
        ("limit=" + "9" * 101, "int_parsing_size"),
        ("limit=" + "9" * 5_000, "int_parsing_size"),
        ("limit=1.0", "int_parsing"),
        ("limit=1e1", "int_parsing"),
        ("limit=1_0", "int_parsing"),
        ("limit=%2B1", "int_parsing"),
        ("limit=+1", "int_parsing"),
        ("limit=%D9%A3", "int_parsing"),
        ("limit=0x1", "int_parsing"),
        ("limit=true", "int_parsing"),
        ("limit=", "int_parsing"),
        ("is_open=1", "bool_parsing"),
        ("is_open=True", "bool_parsing"),
        ("is_open=yes", "bool_parsing"),
        ("is_open=", "bool_parsing"),
        ("on=2025-02-29", "date_parsing"),
        ("on=1735689600", "date_parsing"),
    ],
)
def test_a_query_value_written_otherwise_is_refused(client: TestClient, query: str, code: str) -> None:
    answer = client.get(f"/probe/things?{query}")

    assert answer.status_code == 422
    assert found(answer) == {(code, f"/query/{query.split('=', maxsplit=1)[0]}")}
    assert answer.json()["problems"][0]["message_zh"] != UNKNOWN


# Of pydantic's error types, those that no value from JSON or a query can cause.
NEVER_FROM_INPUT = {
    *{"no_such_attribute", "frozen_field", "frozen_instance", "get_attribute_error", "default_factory_not_called"},
    *{"needs_python_object", "recursion_loop", "recursion_depth_exceeded", "iteration_error", "callable_type"},
    *{"dataclass_exact_type", "is_instance_of", "is_subclass_of", "missing_sentinel_error", "ellipsis_error"},
    *{"arguments_type", "missing_argument", "unexpected_keyword_argument", "missing_keyword_only_argument"},
    *{"unexpected_positional_argument", "missing_positional_only_argument", "multiple_argument_values"},
    *{"named_tuple_type", "frozen_dict_type", "ordered_dict_type", "counter_type", "deque_type"},
    *{"bytes_too_short", "bytes_too_long", "bytes_invalid_encoding"},
    *{"fraction_type", "fraction_parsing", "complex_type", "complex_str_parsing"},
}


def test_every_finding_of_pydantic_that_input_can_cause_has_a_chinese_text() -> None:
    assert set(get_args(ErrorType)) - NEVER_FROM_INPUT - CHINESE.keys() == set()


def test_no_chinese_text_lacks_a_limit_that_pydantic_knows() -> None:
    limits = {name: 1 for text in CHINESE.values() for name in re.findall(r"{(\w+)}", text)}

    assert [
        code for code in CHINESE if code not in ("value_error", "assertion_error") and chinese(code, limits) == UNKNOWN
    ] == []
    assert chinese("less_than_equal", {"le": 20}) == "数值不能大于 20"
    assert chinese("less_than_equal", {}) == UNKNOWN


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(["compare", "group"]),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(st.sampled_from(["kind", "rules", "value", "x"]), children, max_size=4)
    ),
    max_leaves=8,
)


@given(st.sampled_from([Thing, ThingQuery]), st.data())
def test_whatever_a_shape_finds_is_told_in_chinese(model: type[BaseModel], data: st.DataObject) -> None:
    names = st.sampled_from([*model.model_fields, "unknown"])

    try:
        model.model_validate(data.draw(st.dictionaries(names, junk)))
    except ValidationError as error:
        assert {item["type"] for item in error.errors()} <= CHINESE.keys()
        assert all(chinese(item["type"], item.get("ctx", {})) != UNKNOWN for item in error.errors())


def test_thousands_of_problems_are_counted_not_told(client: TestClient) -> None:
    answer = client.post("/probe/things", json={f"unknown{number}": 1 for number in range(4_000)})
    problems = answer.json()["problems"]

    assert len(problems) == 101
    assert problems[-1]["code"] == "more_problems"
    assert "3900" in problems[-1]["message_en"]


def test_an_enormous_name_is_not_sent_back(client: TestClient) -> None:
    answer = client.post("/probe/things", json={"x" * 60_000: 1})

    assert found(answer) == {("extra_forbidden", f"/{'x' * 200}…")}


def test_input_and_limits_never_stand_in_an_answer(client: TestClient) -> None:
    answer = client.post("/probe/things", json={"name": ["13812340001"], "count": -5, "channel": "13812340001"})

    assert answer.status_code == 422
    assert "13812340001" not in answer.text
    assert {key for problem in json.loads(answer.content)["problems"] for key in problem} == {
        "code",
        "path",
        "message_zh",
        "message_en",
    }


def test_what_may_be_chosen_is_told_in_chinese() -> None:
    assert chinese("literal_error", {"expected": "'xlsx', 'pdf' or 'csv'"}) == "应为以下之一:'xlsx', 'pdf' 或 'csv'"
