"""The meta of the fact marts, from which the filter catalogue is built: complete, in step with contracts and SQL."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from segment_engine.catalog import ALWAYS_KNOWN

REPOSITORY = Path(__file__).resolve().parents[2]
MARTS = REPOSITORY / "dbt_project" / "models" / "marts"
CONTRACTS = REPOSITORY / "pipelines" / "ingest" / "contracts"
FILTER_TYPES = {"text", "option", "options", "integer", "decimal", "money", "boolean", "date", "datetime"}
METRICS = {"count", "days", "sum", "avg", "min", "max", "distinct", "first", "last"}
TYPES_OF = {
    "VARCHAR": {"text", "option"},
    "VARCHAR[]": {"options"},
    "BIGINT": {"integer", "money"},
    "BOOLEAN": {"boolean"},
    "DATE": {"date"},
    "TIMESTAMPTZ": {"datetime"},
    "DECIMAL": {"decimal"},
}


def fact_models() -> dict[str, dict[str, Any]]:
    """Every fact's properties by its name."""
    files = sorted(MARTS.glob("*/fct_*.yml"))
    return {file.stem: yaml.safe_load(file.read_text("utf-8"))["models"][0] for file in files}


FACTS = fact_models()
ACTIVITIES = [name for name, fact in FACTS.items() if "config" in fact]


def columns_of(name: str) -> dict[str, dict[str, Any]]:
    return {column["name"]: column for column in FACTS[name]["columns"]}


def filters_of(name: str) -> dict[str, dict[str, Any]]:
    return {key: column["config"]["meta"]["filter"] for key, column in columns_of(name).items() if "config" in column}


def contract_columns_behind(name: str) -> list[dict[str, Any]]:
    """The columns of the contracts whose staging models the fact's SQL names."""
    (sql,) = MARTS.glob(f"*/{name}.sql")
    named = re.findall(r"ref\('stg_(\w+?)__(\w+)'\)", sql.read_text("utf-8"))
    return [yaml.safe_load((CONTRACTS / s / f"{t}.yml").read_text("utf-8"))["columns"] for s, t in named]


@pytest.mark.parametrize("name", FACTS)
def test_a_fact_belongs_to_customers_and_opens_with_its_grain(name: str) -> None:
    customer_key = columns_of(name)["customer_key"]

    assert customer_key["data_type"] == "INTEGER"
    assert customer_key["constraints"] == [{"type": "not_null"}]
    assert re.match(r"每行.+?\(one row per .+?\)", FACTS[name]["description"])


@pytest.mark.parametrize("name", ACTIVITIES)
def test_an_activity_is_complete(name: str) -> None:
    activity = FACTS[name]["config"]["meta"]["activity"]
    columns = columns_of(name)

    assert activity["name"] == name.removeprefix("fct_")
    assert len(activity["category"]) == 3
    assert columns[activity["time"]]["constraints"] == [{"type": "not_null"}]
    assert activity.get("known_at", activity["time"]) in {*columns, ALWAYS_KNOWN}
    assert activity["metrics"][0]["metric"] == "count"
    for metric in activity["metrics"]:
        assert metric["metric"] in METRICS
        assert metric["label_zh"] and metric["label_en"]
        assert metric.get("field", "customer_key") in columns


@pytest.mark.parametrize("name", ACTIVITIES)
def test_a_filterable_column_says_how_it_is_filtered(name: str) -> None:
    for column, entry in filters_of(name).items():
        data_type = columns_of(name)[column]["data_type"].split("(")[0]
        assert entry["type"] in FILTER_TYPES & TYPES_OF[data_type], column
        assert entry["label_zh"] and entry["label_en"], column
        assert (entry["type"] == "option") == bool(entry.keys() & {"options", "options_from"}), column
        assert (entry["type"] == "money") == (entry.get("unit") == "fen"), column
        if entry["type"] == "options":
            assert entry["child"]["column"] in columns_of(entry["child"]["model"]), column


@pytest.mark.parametrize("name", ACTIVITIES)
def test_options_are_those_the_contract_allows(name: str) -> None:
    sources = contract_columns_behind(name)

    for column, entry in filters_of(name).items():
        allowed = [source[column]["allowed"] for source in sources if "allowed" in source.get(column, {})]
        # The union of two sources adds words of its own, as 跟进 to the track of a lead.
        assert not allowed or set(allowed[0]) <= set(entry["options"]), column


def test_groups_of_mini_program_events_divide_all_events() -> None:
    activity = FACTS["fct_mini_program_event"]["config"]["meta"]["activity"]
    grouped = [event for events in activity["groups"].values() for event in events]

    assert sorted(grouped) == sorted(filters_of("fct_mini_program_event")["event"]["options"])


def test_what_analysts_do_not_see_filters_ask_only_with_a_permission() -> None:
    hidden = {
        (file.stem.removeprefix("analyst_"), column.strip())
        for file in (REPOSITORY / "dbt_project" / "models" / "analyst").glob("analyst_fct_*.sql")
        for listed in re.findall(r"exclude\s*\(([^)]*)\)", file.read_text(encoding="utf-8"))
        for column in listed.split(",")
    }
    open_to_all = [
        f"{file.stem}.{column['name']}"
        for file in sorted(MARTS.rglob("fct_*.yml"))
        for model in yaml.safe_load(file.read_text(encoding="utf-8"))["models"]
        for column in model["columns"]
        if (model["name"], column["name"]) in hidden
        and "permission" not in column.get("config", {}).get("meta", {}).get("filter", {"permission": "no filter"})
    ]

    assert len(hidden) > 5
    assert open_to_all == []
