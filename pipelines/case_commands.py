"""The commands `cdp cases …`: filter cases of files, on every engine we have. `pipelines.cli` mounts them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segment_engine.runtime.terminal import out

if TYPE_CHECKING:
    from segment_engine.cases.notes import BadCaseFileError
    from segment_engine.cases.run import Outcome

cases = typer.Typer(no_args_is_help=True, help="Filter cases as data: world, filter, who is meant / 筛选用例")

BAD_FILE = 2


@cases.command("run")
def run(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Case files, YAML or JSON / 用例文件")],
) -> None:
    """Run every case compiled alone, compiled together, interpreted, and with its rules reversed. / 运行筛选用例

    Prints a line per failure and then how many cases passed and failed. Ends with 0 when all hold, 1 when one does
    not, 2 when a file cannot be read.
    """
    from segment_engine.cases.compiled import ENGINES  # noqa: PLC0415
    from segment_engine.cases.notes import BadCaseFileError  # noqa: PLC0415
    from segment_engine.cases.run import run_file  # noqa: PLC0415

    outcomes: list[tuple[Path, Outcome]] = []
    is_bad = False
    for file in files:
        try:
            outcomes += [(file, outcome) for outcome in run_file(file, ENGINES)]
        except BadCaseFileError as bad:
            is_bad = True
            _tell_bad(file, bad)
        except (OSError, UnicodeDecodeError) as error:
            is_bad = True
            _say(f"{file}: cannot be read / 无法读取: {error}")
    failed = _tell_failures(outcomes)
    passed = len({(file, outcome.case) for file, outcome in outcomes}) - failed
    _say(f"cases: {passed} passed, {failed} failed")
    if is_bad or failed:
        raise typer.Exit(BAD_FILE if is_bad else 1)


def _tell_failures(outcomes: "list[tuple[Path, Outcome]]") -> int:
    """A line per case and engine that did not hold; how many cases they are."""
    wrong = [(file, outcome) for file, outcome in outcomes if not outcome.ok]
    for file, outcome in wrong:
        _say(f"{file}: {outcome.line()}")
    return len({(file, outcome.case) for file, outcome in wrong})


def _tell_bad(file: Path, bad: "BadCaseFileError") -> None:
    for problem in bad.problems:
        _say(f"{file}: {problem.code} {problem.path or '/'}: {problem.message_en} / {problem.message_zh}")


def _say(line: str) -> None:
    out.print(line, highlight=False, markup=False, soft_wrap=True)
