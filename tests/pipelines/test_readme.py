"""The README's tour: every command in it works on a night of sample data."""

import re
import shlex
from itertools import takewhile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.settings import PipelineSettings
from tests.parsed import LendParsed

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ cdp (.+)$", README, flags=re.MULTILINE)
READING = sorted({command for command in COMMANDS if command.split()[0] in {"sql", "status", "doctor"}})


TOUR = re.findall(r"^\$ cdp (.+)\n((?:[^$`\n].*\n)+)", README, flags=re.MULTILINE)


def test_the_tour_shows_what_its_commands_print(tmp_path: Path, lend_parsed: LendParsed) -> None:
    assert [command.split()[0] for command, _ in TOUR] == ["sample-data", "nightly", "sql"]
    for command, shown in TOUR:
        if command.startswith("nightly"):
            # No sooner: sample data is refused where something was built.
            lend_parsed(PipelineSettings(data_dir=tmp_path / "data"))
        environment = {"CDP_DATA_DIR": str(tmp_path / "data"), "COLUMNS": "200"}
        printed = CliRunner().invoke(app, shlex.split(command), env=environment).output

        assert spoken(shown) == spoken(printed.replace(f"{tmp_path}/", ""))


def spoken(text: str) -> list[str]:
    """The words of a command's answer, without those that depend on the machine."""
    timeless = re.sub(r"\d+\.\d s\b|\([\d,]+ rows/s\)", "·", text)
    return timeless.split()


@pytest.mark.parametrize("command", READING)
def test_a_command_of_the_tour_works(command: str, night: PipelineSettings) -> None:
    answer = CliRunner().invoke(app, shlex.split(command), env={"CDP_DATA_DIR": str(night.data_dir)})

    assert answer.exit_code == 0, answer.output


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - set(READING)))
def test_a_writing_command_of_the_tour_knows_its_options(command: str) -> None:
    words = shlex.split(command)
    name = list(takewhile(lambda word: not word.startswith("-"), words))
    options = words[len(name) :]
    help_text = CliRunner().invoke(app, [*name, "--help"], env={"COLUMNS": "200"}).output

    assert name[0] in {"sample-data", "nightly", "token", "serve"}
    assert [option for option in options if option.startswith("--") and option not in help_text] == []


def test_every_page_the_readme_names_exists() -> None:
    pages = re.findall(r"\]\((docs/[^)]+)\)", README)

    root = Path(__file__).resolve().parents[2]
    assert pages
    assert [page for page in pages if not (root / page).exists()] == []
