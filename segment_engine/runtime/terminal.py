"""How the commands of pipeline and API speak: one console for answers, one for what went wrong, and how they end."""

from typing import NoReturn, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from segment_engine.runtime.settings import SharedSettings, wrong_settings

Settings = TypeVar("Settings", bound=SharedSettings)

out = Console()
err = Console(stderr=True)


def fail(message: str, *, code: int = 1) -> NoReturn:
    """End the command with a reason on stderr; code 2 means that it was asked wrongly."""
    tell_error(message)
    raise typer.Exit(code)


def tell_error(message: str) -> None:
    """A reason on stderr, as it is: names with brackets are no markup."""
    err.print(f"[red]error[/] {escape(message)}", highlight=False, soft_wrap=True)


def read_settings(kind: type[Settings]) -> Settings:
    """The settings of this kind from the environment; ends the command where they cannot be used."""
    try:
        return kind()
    except ValidationError as error:
        fail("\n".join(["settings / 配置有误", *wrong_settings(error)]), code=2)
