"""Colours of tags: those that are offered, and any other as #RRGGBB."""

import re
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

_CUSTOM = re.compile(r"#[0-9A-Fa-f]{6}")


class Preset(StrEnum):
    """The colours that are offered (预设颜色)."""

    RED = "red"
    ORANGE = "orange"
    YELLOW = "yellow"
    GREEN = "green"
    CYAN = "cyan"
    BLUE = "blue"
    PURPLE = "purple"
    PINK = "pink"
    GREY = "grey"


def _color(text: str) -> str:
    if text in list(Preset):
        return text
    if _CUSTOM.fullmatch(text) is None:
        raise PydanticCustomError("unknown_color", f"A colour is one of {', '.join(Preset)}, or like #1A2B3C")
    return text.upper()


Color = Annotated[
    str,
    AfterValidator(_color),
    Field(
        description=f"{', '.join(Preset)}, or #RRGGBB / 预设颜色或自定义颜色",
        json_schema_extra={"pattern": f"^({'|'.join(Preset)}|#[0-9A-Fa-f]{{6}})$"},
    ),
]
