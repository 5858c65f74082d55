"""Contracts and staging never drift apart: the files are what the generator writes."""

from pathlib import Path
from runpy import run_path

from tests.dbt.factory import REPOSITORY, contracts

GENERATOR = run_path(str(REPOSITORY / "dbt_project" / "scripts" / "generate_staging.py"))
MODELS = REPOSITORY / "dbt_project" / "models"


def test_staging_files_are_what_the_contracts_generate():
    expected = GENERATOR["expected_files"]()

    on_disk = {path: (MODELS / path).read_text("utf-8") for path in expected}

    assert on_disk == expected


def test_every_file_in_staging_is_generated():
    expected = {path for path in GENERATOR["expected_files"]() if path.parts[0] == "staging"}

    on_disk = {path.relative_to(MODELS) for path in (MODELS / "staging").rglob("*") if path.is_file()}

    assert on_disk == expected


def test_every_contract_has_a_staging_model():
    models = {path.stem for path in (MODELS / "staging").rglob("*.sql")}

    assert models == {f"stg_{name}" for name in contracts()}


def test_generating_twice_changes_nothing_and_removes_strangers(tmp_path: Path):
    stranger = tmp_path / "staging" / "saas" / "stg_saas__gone.sql"
    stranger.parent.mkdir(parents=True)
    stranger.write_text("select 1", "utf-8")

    for _ in range(2):
        GENERATOR["write_files"](GENERATOR["expected_files"](), tmp_path)

    written = {path.relative_to(tmp_path): path.read_text("utf-8") for path in tmp_path.rglob("*") if path.is_file()}
    assert written == GENERATOR["expected_files"]()
