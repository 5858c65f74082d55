"""Why a night failed, as an operator reads it: in Chinese and English."""

import re
from datetime import date

import duckdb
import pytest
import yaml

from pipelines.identity.resolve import IdentityError
from pipelines.identity.state import ensure_tables, open_state
from pipelines.warehouse.dbt import PROJECT_DIR, DbtFailedError, NodeResult

BOTH = re.compile(r"[a-z].*[\u4e00-\u9fff]", flags=re.DOTALL)


def test_a_night_before_the_last_one_is_refused_in_both_languages() -> None:
    with duckdb.connect() as con:
        ensure_tables(con, "identity")
        con.execute(
            "insert into identity.night (night, fingerprint, way, basis, summary) values"
            " ('2026-11-20', '', 'whole', '', '{}')"
        )

        with pytest.raises(IdentityError, match=r"earlier than the last night.*早于已处理的最后一晚"):
            open_state(con, "identity", date(2026, 11, 19), fingerprint="f", basis="b")


def test_a_failed_check_is_told_by_what_it_promises() -> None:
    node = NodeResult("unique_x", "test", "fail", "Got 1 result", 1, 0.1, "One x per y. 每个 y 一个 x。")

    told = str(DbtFailedError([node]))

    assert "unique_x" in told
    assert "1 行不符合" in told
    assert "One x per y. 每个 y 一个 x。" in told


def test_every_check_of_the_project_promises_in_both_languages() -> None:
    described = {
        check["name"]: check["description"]
        for file in (PROJECT_DIR / "tests").rglob("*.yml")
        for check in yaml.safe_load(file.read_text(encoding="utf-8"))["data_tests"]
    }
    singular = {file.stem for file in (PROJECT_DIR / "tests").rglob("*.sql") if file.parent.name != "generic"}

    assert set(described) == singular
    assert [name for name, text in described.items() if not BOTH.search(text)] == []


def test_every_generic_check_promises_in_both_languages() -> None:
    checks = [
        (file.name, column["name"], check)
        for file in (PROJECT_DIR / "models").rglob("*.yml")
        for model in (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("models", [])
        for column in model.get("columns", [])
        for check in column.get("data_tests", [])
    ]

    assert checks
    assert [check for check in checks if not BOTH.search(promise(check[2]))] == []


def promise(check: object) -> str:
    """The description of a generic check as a model's YAML writes it."""
    return next(iter(check.values())).get("description", "") if isinstance(check, dict) else ""
