"""`make lint` passes over SQL that cannot have become wrong since it was clean, and over nothing else."""

from collections.abc import Callable
from pathlib import Path
from runpy import run_path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = run_path(str(REPOSITORY / "scripts" / "lint_sql.py"))
CLEAN, UNCLEAN = "select customer_id from customers\n", "SELECT customer_id FROM customers\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A project with two models, a test and a macro, of which everything is clean and nothing was linted yet."""
    (tmp_path / "pyproject.toml").write_text("", encoding="utf-8")
    project = tmp_path / "dbt_project"
    for name in ("models/marts/one.sql", "models/two.sql", "tests/three.sql", "macros/four.sql"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(CLEAN, encoding="utf-8")
    (project / ".sqlfluff").write_text(
        "[sqlfluff]\ndialect = duckdb\n[sqlfluff:rules:capitalisation.keywords]\ncapitalisation_policy = lower\n",
        encoding="utf-8",
    )
    return tmp_path


def waiting(repository: Path) -> set[str]:
    """The files that the next run lints."""
    known = SCRIPT["kept"](repository)
    return {file.stem for file, digest in SCRIPT["file_hashes"](repository).items() if digest not in known}


def write(name: str) -> Callable[[Path], object]:
    return lambda repository: (repository / name).write_text(UNCLEAN, encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "linted"),
    [
        pytest.param(lambda _: None, set(), id="nothing"),
        pytest.param(write("dbt_project/models/two.sql"), {"two"}, id="a model"),
        pytest.param(write("dbt_project/models/five.sql"), {"five"}, id="a new model"),
        pytest.param(write("dbt_project/macros/four.sql"), {"one", "two", "three"}, id="a macro"),
        pytest.param(write("dbt_project/.sqlfluff"), {"one", "two", "three"}, id="the configuration"),
        pytest.param(write("dbt_project/models/.sqlfluff"), {"one", "two", "three"}, id="a folder's configuration"),
        pytest.param(write("pyproject.toml"), {"one", "two", "three"}, id="the project's configuration"),
    ],
)
def test_what_may_be_told_differently_is_linted_again(
    repository: Path, change: Callable[[Path], object], linted: set[str]
) -> None:
    assert waiting(repository) == {"one", "two", "three"}
    SCRIPT["keep"](repository, SCRIPT["file_hashes"](repository).values())

    change(repository)

    assert waiting(repository) == linted


def test_what_is_not_clean_is_told_until_it_is_and_what_was_clean_is_not_trusted_where_all_is_asked_for(
    repository: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    models = repository / "dbt_project" / "models"
    write("dbt_project/models/two.sql")(repository)
    SCRIPT["keep"](repository, [SCRIPT["file_hashes"](repository)[models / "marts" / "one.sql"]])

    refused = SCRIPT["main"](repository, everything=True)
    still_waiting, told = waiting(repository), capfd.readouterr().out
    (models / "two.sql").write_text(CLEAN, encoding="utf-8")
    passed = [SCRIPT["main"](repository, everything=False) for _ in range(2)]
    told_after = capfd.readouterr().out

    assert (refused, passed, still_waiting) == (1, [0, 0], {"two", "three"})
    assert told.startswith("sqlfluff: 3 of 3 files")
    assert "[dbt_project/models/two.sql] FAIL" in told
    assert "sqlfluff: 2 of 3 files" in told_after
    assert "sqlfluff: 0 of 3 files" in told_after
