"""The strict parser: what it takes equals json.loads, what it refuses is told completely, and nothing else happens."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.errors import ApiError, TooLargeError
from api.strict_json import InvalidJsonError, JsonLimits, canonical_json, parse_json
from tests.api.hostile import HOSTILE_BODIES, Hostile

LIMITS = JsonLimits()
WIDE = JsonLimits(max_bytes=1 << 24, max_depth=32)

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda children: st.lists(children, max_size=5) | st.dictionaries(text, children, max_size=5),
    max_leaves=30,
)


def problems_of(body: bytes, limits: JsonLimits = LIMITS) -> set[tuple[str, str]]:
    with pytest.raises(ApiError) as refused:
        parse_json(body, limits)
    return {(problem.code, problem.path) for problem in refused.value.problems}


@pytest.mark.parametrize("hostile", HOSTILE_BODIES.values(), ids=HOSTILE_BODIES.keys())
def test_a_hostile_body_is_refused_with_every_problem_and_its_place(hostile: Hostile) -> None:
    assert problems_of(hostile.body) == hostile.problems


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"-0", 0),
        (b"-0.0", -0.0),
        (b"9223372036854775807", 2**63 - 1),
        (b"-9223372036854775808", -(2**63)),
        (b"1e308", 1e308),
        (b"1e-999", 0.0),
        (b'"\\ud83d\\ude00"', "😀"),
        ('"\u202e😀é"'.encode(), "\u202e😀é"),
        (b'"\\\\u0000 \\\\ud800"', "\\u0000 \\ud800"),
        (b' \r\n\t{"a" : [ ] }\n', {"a": []}),
        (b'{"":0}', {"": 0}),
    ],
)
def test_what_is_odd_but_json_is_read(body: bytes, value: Any) -> None:
    assert parse_json(body, LIMITS) == value


@given(json_values)
def test_any_value_passes_and_is_what_json_loads_reads(value: Any) -> None:
    body = json.dumps(value, ensure_ascii=False).encode()

    assert repr(parse_json(body, WIDE)) == repr(json.loads(body))
    assert repr(parse_json(canonical_json(value), WIDE)) == repr(json.loads(canonical_json(value)))


def is_value_or_problems(body: bytes) -> bool:
    try:
        value = parse_json(body, LIMITS)
    except ApiError as error:
        json.dumps([problem.path for problem in error.problems], ensure_ascii=False).encode()
        return all(problem.code and problem.message_zh and problem.message_en for problem in error.problems)
    return repr(value) == repr(json.loads(body))


letters = st.sampled_from([*'[]{}",:\\u0dD8ntfe1-.E \n', "é"])


@given(st.binary(max_size=200) | st.lists(letters).map(lambda characters: "".join(characters).encode()))
@example(b'"\\')
def test_any_bytes_give_a_value_or_problems_and_nothing_else(body: bytes) -> None:
    assert is_value_or_problems(body)


@given(json_values, st.data())
def test_a_changed_byte_never_gives_anything_else_either(value: Any, data: st.DataObject) -> None:
    body = bytearray(canonical_json(value))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))

    assert is_value_or_problems(bytes(body))


@pytest.mark.parametrize("levels", [10**2, 10**3, 10**4, 10**5, 10**6])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"]":', b"}]")])
def test_nesting_is_refused_at_any_depth(levels: int, opening: bytes, closing: bytes) -> None:
    body = opening * levels + b"1" + closing * levels

    assert problems_of(body, JsonLimits(max_bytes=1 << 24)) == {("too_deep", "")}


def test_nesting_is_exact_at_the_limit() -> None:
    deepest = b"[" * 32 + b"]" * 32
    flat = b'["[[[[{{{{\\"[[[[",' + b"[]," * 100 + b"{}]"

    assert parse_json(deepest, LIMITS) is not None
    assert problems_of(b"[" + deepest + b"]") == {("too_deep", "")}
    assert len(parse_json(flat, LIMITS)) == 102


def test_size_is_exact_at_the_limit() -> None:
    largest = b'"' + b"x" * (64 * 1024 - 2) + b'"'

    assert len(parse_json(largest, LIMITS)) == 64 * 1024 - 2
    with pytest.raises(TooLargeError):
        parse_json(largest + b" ", LIMITS)


def test_unclosed_text_full_of_quotes_is_refused_in_linear_time() -> None:
    body = b"[" * 33 + b'"' + b'\\"' * 500_000

    assert problems_of(body, WIDE) == {("too_deep", "")}
    assert problems_of(b"[[" + b"[]," * 40 + b'"' + b'\\"' * 500_000, WIDE) == {("invalid_json", "")}


def test_an_empty_body_is_no_value() -> None:
    with pytest.raises(InvalidJsonError) as refused:
        parse_json(b"", LIMITS)

    assert refused.value.status == 400
    assert refused.value.problems[0].code == "empty_body"


def test_canonical_text_forgets_order_and_spaces_and_nothing_else() -> None:
    same = [b'{"a":1,"b":[1.0,"\\u00e9"]}', '{ "b": [1.00, "é"],\n"a": 1 }'.encode()]
    others = [
        b'{"a":1,"b":[1,"\\u00e9"]}',
        b'{"a":"1","b":[1.0,"\\u00e9"]}',
        b'{"a":true,"b":[1.0,"\\u00e9"]}',
        b'{"a":1}',
    ]

    canonical = {canonical_json(parse_json(body, LIMITS)) for body in same}

    assert len(canonical) == 1
    assert len(canonical | {canonical_json(parse_json(body, LIMITS)) for body in others}) == 5
