"""Values as the editor holds them: lists as text with commas, numbers as text.

The editor joins the items of a list by commas unless it is told `listsAsArrays`; a comma of an item has a backslash
before it. What is no number stays what it is, for others to tell.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

_COMMA: Final = re.compile(r"(?<!\\),")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?")


def split(text: str) -> list[str]:
    """The items of a list in text, without space around them; empty ones are none."""
    return [item for part in _COMMA.split(text) if (item := part.replace("\\,", ",").strip())]


def joined(items: Sequence[Any]) -> str | None:
    """The list as text; None where the text would read as another list."""
    text = ",".join(str(item).replace(",", "\\,") for item in items)
    return text if split(text) == [str(item) for item in items] else None


def items_of(raw: Any) -> Any:
    """A list, however the editor holds it."""
    if isinstance(raw, str):
        return split(raw)
    return [raw] if isinstance(raw, int | float) and not isinstance(raw, bool) else raw


def number_of(text: str) -> int | float | None:
    """The number that a text says, if JSON can say it too."""
    if not _NUMBER.fullmatch(text.strip()):
        return None
    number = Decimal(text.strip())
    if number == number.to_integral_value():
        return int(number)
    # A float that says another number than was typed would change the filter without a word.
    return float(number) if Decimal(repr(float(number))) == number else None
