"""`cdp cases run`: exit 0 when all hold, a line per failure, and how many passed at the end."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import app

WORLD = """
world:
  attributes: {city: text}
  customers: [{id: 1, city: 上海}, {id: 2}]
cases:
"""
CASE = """
  - name: {name}
    as_of: "2026-01-31T12:00:00+08:00"
    filter: {{combinator: and, rules: [{{kind: attribute, field: city, operator: eq, value: 上海}}]}}
    expect: [{expect}]
"""
REFUSED = """
  - name: an unknown field
    filter: {combinator: and, rules: [{kind: attribute, field: nope, operator: eq, value: 1}]}
    problem: {code: unknown_field, path: /rules/0/field}
"""


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner()


def written(folder: Path, text: str, name: str = "cases.yaml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_cases_that_hold_end_with_zero_and_a_count(runner: CliRunner, tmp_path: Path) -> None:
    file = written(tmp_path, WORLD + CASE.format(name="in Shanghai", expect=1) + REFUSED)

    result = runner.invoke(app, ["cases", "run", str(file)])

    assert (result.exit_code, result.output) == (0, "cases: 2 passed, 0 failed\n")


def test_a_case_that_does_not_hold_is_told_on_each_engine(runner: CliRunner, tmp_path: Path) -> None:
    file = written(tmp_path, WORLD + CASE.format(name="wrong", expect=2) + CASE.format(name="right", expect=1))

    result = runner.invoke(app, ["cases", "run", str(file)])

    *failures, count = result.output.splitlines()
    assert result.exit_code == 1
    assert count == "cases: 1 passed, 1 failed"
    assert failures == [
        f"{file}: wrong [{engine}]: expected [2], got [1]"
        for engine in ("compiled alone", "compiled together", "interpreter", "rules reversed")
    ]


def test_a_file_that_cannot_be_read_is_told_and_the_others_are_run(runner: CliRunner, tmp_path: Path) -> None:
    good = written(tmp_path, WORLD + CASE.format(name="in Shanghai", expect=1))
    bad = written(tmp_path, "world: {towns: []}\ncases: []\n", "bad.yaml")
    absent = tmp_path / "absent.yaml"

    result = runner.invoke(app, ["cases", "run", str(bad), str(absent), str(good)])

    lines = result.output.splitlines()
    assert result.exit_code == 2
    assert lines[0].startswith(f"{bad}: unknown_member /world/towns: ")
    assert lines[1].startswith(f"{absent}: cannot be read / 无法读取")
    assert lines[-1] == "cases: 1 passed, 0 failed"
