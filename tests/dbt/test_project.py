"""The whole project builds, and its published file is what analysts and the catalogue were promised."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.dbt.conftest import FIRST_NIGHT, PERSONAL_PHONE, PHONES_AS_WRITTEN
from tests.dbt.runner import Outcome, manifest, run_dbt

FILTER_TYPES = {
    "VARCHAR": {"text", "option"},
    "VARCHAR[]": {"options"},
    "INTEGER": {"integer"},
    "BIGINT": {"integer", "money"},
    "BOOLEAN": {"boolean"},
    "DATE": {"date"},
    "TIMESTAMPTZ": {"datetime"},
}


def test_every_model_builds_and_every_check_passes(first_night: Outcome):
    assert first_night.with_status("error", "fail", "skipped", "runtime error") == set()


def test_every_unit_test_passes(data_dir: Path, first_night: Outcome):
    # After the first build: dbt cannot test an incremental model whose table does not exist yet.
    outcome = run_dbt(data_dir, "test", "--select", "test_type:unit", as_of=FIRST_NIGHT)

    assert len(outcome.statuses) > 20
    assert outcome.with_status("error", "fail", "skipped", "runtime error") == set()


def test_fresh_tables_are_no_warning(first_night: Outcome):
    assert first_night.statuses["tables_are_fresh"] == "pass"


def test_every_published_column_has_a_chinese_comment(published: duckdb.DuckDBPyConnection):
    columns = published.execute(
        """
        select schema_name, table_name, column_name, comment
        from duckdb_columns()
        where schema_name in ('marts', 'analyst', 'meta')
        """
    ).fetchall()

    without = [row[:3] for row in columns if not row[3] or not any("\u4e00" <= sign <= "\u9fff" for sign in row[3])]
    assert len(columns) > 300
    assert without == []


def test_views_of_a_copied_file_stand_for_their_marts(published: duckdb.DuckDBPyConnection):
    masked = published.execute("select name, phone from dim_customer where customer_key = 0").fetchall()
    plain = published.execute("select name, phone from marts.dim_customer where customer_key = 0").fetchall()

    assert masked == [("秘*****", "139****5678")]
    assert plain == [("秘密name", "13912345678")]


def test_analysts_never_see_a_personal_value(published: duckdb.DuckDBPyConnection):
    names = published.execute(
        "select distinct table_name from duckdb_columns() where schema_name in ('analyst', 'marts', 'meta')"
    ).fetchall()

    leaks = [
        (name, str(row))
        for (name,) in names
        for row in published.execute(f'select * from "{name}"').fetchall()
        if any(secret in str(row) for secret in (PERSONAL_PHONE, "秘密", *PHONES_AS_WRITTEN))
    ]

    assert leaks == []


@pytest.mark.parametrize("table", ["fct_lead", "dim_staff"])
def test_a_phone_that_is_no_number_shows_two_characters_at_most(published: duckdb.DuckDBPyConnection, table: str):
    key = {"fct_lead": "lead_id", "dim_staff": "staff_id"}[table]

    masks = published.execute(f"select phone from {table} where {key} like 'W_' order by {key}").fetchall()

    assert [mask for (mask,) in masks] == [
        "****02", "****妈妈", "****02", "****02", "****０２", "****11", "****21", "****",
    ]  # fmt: skip


def test_profile_holds_the_person_of_all_channels_once(published: duckdb.DuckDBPyConnection):
    flags = published.execute(
        """
        select has_patient_file, is_fan, is_wecom_contact, is_mini_program_user, is_lead, identity_count
        from dim_customer
        where customer_key = 0
        """
    ).fetchall()

    assert flags == [(True, True, True, True, True, 5)]


@pytest.fixture(scope="module")
def models() -> dict[str, dict[str, Any]]:
    return {node["name"]: node for node in manifest()["nodes"].values() if node["resource_type"] == "model"}


def test_every_filterable_attribute_says_what_a_filter_needs(models: dict[str, dict[str, Any]]):
    columns = models["dim_customer"]["columns"].values()
    filters = {column["name"]: (column, column["config"]["meta"].get("filter")) for column in columns}

    broken = [
        name
        for name, (column, described) in filters.items()
        if described
        and not (
            len(described["category"]) == 3
            and described["label_zh"]
            and described["label_en"]
            and described["type"] in FILTER_TYPES[column["data_type"]]
            and (
                described["type"] not in {"option", "options"} or "options" in described or "options_from" in described
            )
            and (described["type"] != "money" or described["unit"] == "fen")
        )
    ]

    assert sum(described is not None for _, described in filters.values()) > 40
    assert broken == []


def test_history_keeps_every_filterable_attribute_or_meta_says_that_it_does_not(models: dict[str, dict[str, Any]]):
    profile = models["dim_customer"]["columns"]
    history = models["customer_attribute_history"]["columns"]
    filters = {name: column["config"]["meta"].get("filter") for name, column in profile.items()}
    current_only = {name for name, described in filters.items() if described and "as_of" in described}

    assert current_only == {"age", "appointment_count", "no_show_count", "next_appointment_at", "last_active_at"}
    assert {name for name, described in filters.items() if described} - current_only <= set(history)
    assert not current_only & set(history)
    for name in set(history) - {"customer_key", "valid_from", "valid_to"}:
        assert (history[name]["data_type"], history[name]["description"]) == (
            profile[name]["data_type"],
            profile[name]["description"],
        )


def test_marts_have_enforced_contracts_and_descriptions_that_open_with_the_grain(models: dict[str, dict[str, Any]]):
    marts = [node for node in models.values() if node["schema"] in {"marts", "meta"}]

    loose = [
        node["name"]
        for node in marts
        if not node["config"]["contract"]["enforced"] or "one row per" not in node["description"].lower()
    ]

    assert loose == []
