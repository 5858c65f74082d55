"""Cursors of a search: what was given out comes back, anything else is refused."""

import base64
import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from api.customer_list.cursor import Order, Place
from api.errors import InvalidError


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("city", "上海市"),
        ("birth_date", date(1988, 7, 1)),
        ("created_at", datetime(2026, 11, 20, 4, 5, 6, 789, tzinfo=UTC)),
        ("created_at", None),
    ],
)
def test_a_place_comes_back_as_it_went(column: str, value: Any) -> None:
    order, place = Order(column, is_descending=True), Place(value, 7)

    assert Place.decode(place.encode(order), order) == place


@pytest.mark.parametrize(
    "members",
    [
        ["city", True, "x"],
        ["city", True, 7, 1],
        ["city", True, ["x"], 1],
        ["city", True, "x", True],
        ["city", True, "x", -1],
        ["city", True, "x", 1 << 31],
        ["city", True, "\ud800", 1],
        ["city", False, "x", 1],
        ["name", True, "x", 1],
        {"city": 1},
        None,
    ],
    ids=repr,
)
def test_what_was_never_given_out_is_refused(members: Any) -> None:
    text = base64.urlsafe_b64encode(json.dumps(members).encode()).decode().rstrip("=")

    with pytest.raises(InvalidError):
        Place.decode(text, Order("city", is_descending=True))


@pytest.mark.parametrize(
    ("column", "value"),
    [("created_at", "2026-01-01T00:00:00"), ("created_at", "soon"), ("birth_date", "1988"), ("birth_date", 7)],
)
def test_a_value_of_another_kind_is_refused(column: str, value: Any) -> None:
    text = base64.urlsafe_b64encode(json.dumps([column, True, value, 1]).encode()).decode().rstrip("=")

    with pytest.raises(InvalidError):
        Place.decode(text, Order(column, is_descending=True))
