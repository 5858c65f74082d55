"""The `meta` of the marts, from which the filter catalogue is built: known keys, and labels that tell fields apart."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.dbt.runner import PROJECT

FILES = sorted(file for folder in ("models", "tests") for file in (PROJECT / folder).rglob("*.yml"))
MODELS = {
    model["name"]: model
    for file in sorted((PROJECT / "models" / "marts").rglob("*.yml"))
    for model in yaml.safe_load(file.read_text("utf-8")).get("models", [])
}
FILTER_KEYS = {
    "category", "label_zh", "label_en", "type", "unit", "options", "options_from", "child", "permission", "as_of",
}  # fmt: skip
ACTIVITY_KEYS = {"name", "category", "label_zh", "label_en", "time", "known_at", "leading", "metrics", "groups"}
METRIC_KEYS = {"metric", "field", "label_zh", "label_en"}


def entries_of(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every key of a document with its value, at any depth."""
    if isinstance(node, dict):
        yield from node.items()
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from entries_of(child)


def filters_of(model: dict[str, Any]) -> dict[str, dict[str, Any]]:
    described = ((column["name"], column.get("config", {}).get("meta", {})) for column in model["columns"])
    return {name: meta["filter"] for name, meta in described if meta}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_text_is_torn_into_keys(file) -> None:
    # `{label: a, b}` is a label `a` and a key `b` without a value: a comma in a flow mapping wants quotes.
    entries = entries_of(yaml.safe_load(file.read_text("utf-8")))
    torn = [key for key, value in entries if value is None and not re.fullmatch(r"\w+", key, re.ASCII)]

    assert torn == []


@pytest.mark.parametrize("name", MODELS)
def test_meta_has_known_keys_only(name: str) -> None:
    model = MODELS[name]
    meta = model.get("config", {}).get("meta", {})
    activity = meta.get("activity", {})

    assert set(meta) <= {"activity"}
    assert set(activity) <= ACTIVITY_KEYS
    assert all(set(metric) <= METRIC_KEYS for metric in activity.get("metrics", []))
    assert all(set(column.get("config", {}).get("meta", {})) <= {"filter"} for column in model["columns"])
    assert {
        column: set(entry) - FILTER_KEYS for column, entry in filters_of(model).items() if set(entry) - FILTER_KEYS
    } == {}


def test_what_is_known_of_today_only_says_so_in_one_way() -> None:
    marks = {
        (name, column): entry["as_of"]
        for name, model in MODELS.items()
        for column, entry in filters_of(model).items()
        if "as_of" in entry
    }

    assert set(marks.values()) == {"current_only"}
    assert {("fct_stored_value_account", "principal_fen"), ("fct_coupon", "state")} < set(marks)
    assert {("fct_card_asset", column) for column in ("used_times", "remaining_times", "is_used_up")} < set(marks)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("language", ["label_zh", "label_en"])
def test_labels_tell_the_fields_of_a_table_apart(name: str, language: str) -> None:
    fields = Counter(entry[language] for entry in filters_of(MODELS[name]).values())
    metrics = Counter(
        metric[language]
        for metric in MODELS[name].get("config", {}).get("meta", {}).get("activity", {}).get("metrics", [])
    )

    assert [label for label, count in fields.items() if count > 1] == []
    assert [label for label, count in metrics.items() if count > 1] == []


def test_activities_have_labels_of_their_own() -> None:
    activities = [
        model["config"]["meta"]["activity"] for model in MODELS.values() if model.get("config", {}).get("meta")
    ]

    for language in ("label_zh", "label_en"):
        assert len({activity[language] for activity in activities}) == len(activities) > 20
