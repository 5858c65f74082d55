"""Paths and queries: one reading or none."""

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.strict_url import check_path, check_query

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=10)


@pytest.mark.parametrize(
    ("raw", "code", "path"),
    [
        (b"a=%ff", "not_utf8", "/query/a"),
        (b"a=%C0%80", "not_utf8", "/query/a"),
        (b"a=%ED%A0%80", "not_utf8", "/query/a"),
        (b"%ff=1", "not_utf8", "/query"),
        (b"a=%00", "not_utf8", "/query/a"),
        (b"a=\xe4\xb8\xad", "not_utf8", "/query/a"),
        (b"a=100%", "not_utf8", "/query/a"),
        (b"a=%zz", "not_utf8", "/query/a"),
        (b"a=1&b=1&a=1", "repeated_parameter", "/query/a"),
        (b"a=1&%61=2", "repeated_parameter", "/query/a"),
        (b"a&a", "repeated_parameter", "/query/a"),
        (b"a/b=1&a/b=1", "repeated_parameter", "/query/a~1b"),
        (b"a=" + b"x" * (8 * 1024 - 1), "query_too_long", "/query"),
        (b"&".join(b"p%d=1" % number for number in range(101)), "too_many_parameters", "/query"),
    ],
)
def test_a_query_that_can_be_read_in_two_ways_is_refused(raw: bytes, code: str, path: str) -> None:
    assert [(problem.code, problem.path) for problem in check_query(raw)] == [(code, path)]


def test_all_problems_of_a_query_are_told() -> None:
    problems = check_query(b"a=%ff&b=1&b=%00")

    assert {(problem.code, problem.path) for problem in problems} == {
        ("not_utf8", "/query/a"),
        ("not_utf8", "/query/b"),
        ("repeated_parameter", "/query/b"),
    }


def test_limits_of_a_query_are_exact() -> None:
    assert check_query(b"a=" + b"x" * (8 * 1024 - 2)) == ()
    assert check_query(b"&".join(b"p%d=1" % number for number in range(100))) == ()


@given(st.dictionaries(text, text, max_size=5))
def test_what_a_client_encodes_passes(parameters: dict[str, str]) -> None:
    assert check_query(urlencode(parameters).encode()) == ()


@given(st.binary(max_size=60))
def test_what_passes_is_read_alike_by_the_framework(raw: bytes) -> None:
    if not check_query(raw):
        pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True, errors="strict")

        assert len(dict(pairs)) == len(pairs)
        assert "\0" not in str(pairs)


@pytest.mark.parametrize("raw", [b"/v1/%ff", b"/v1/%00", b"/v1/%ED%A0%80", b"/v1/\xe4\xb8\xad", b"/v1/%"])
def test_a_path_that_is_no_text_is_refused(raw: bytes) -> None:
    assert [problem.code for problem in check_path(raw)] == ["path_not_utf8"]


def test_an_encoded_path_passes() -> None:
    assert check_path(b"/v1/customers/%E4%B8%AD%2F1") == ()
