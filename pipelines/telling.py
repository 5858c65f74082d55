"""What may be told of an error where people and log stores read it: what went wrong and where, never a cell's value.

Run records, Dagster's event and compute logs and the ledger outlive a person's data, so none may get there. dbt's
own log below `build/` says more; an erasure removes it.
"""

import re
import traceback
from pathlib import Path

# DuckDB's errors of these kinds speak of the query, of files and of memory; all others may quote a value.
WITHOUT_VALUES = (
    "Binder", "Catalog", "Connection", "Dependency", "IO", "Not implemented", "Out of Memory", "Parser", "Permission",
    "Syntax",
)  # fmt: skip
OURS = {"pipelines", "segment_engine", "api", "dagster", "dagster_dbt"}
DUCKDB = {"duckdb", "_duckdb"}
HEAD = re.compile(r"(?P<kind>[A-Z][\w ]{0,40}?) ?Error: ")
# What else may be told of them: where it happened (of several the last, which is DuckDB's own), and fixed words.
PLACES = (
    re.compile(r"source (column [A-Za-z_]\w{0,62})"),
    re.compile(r"(NOT NULL constraint failed: [A-Za-z_][\w.]{0,120})"),
    re.compile(r"(Error on Line: \d{1,18})"),
    re.compile(r"(byte \d{1,18} in record/value \d{1,18})"),
    re.compile(
        r"\A(No magic bytes found|Error when sniffing file|Overflow|PRIMARY KEY or UNIQUE constraint violation)"
    ),
)
HIDDEN = "(values are not shown / 不显示数据内容)"


def told(error: BaseException) -> str:
    """An error with its class, without values of cells."""
    return f"{type(error).__name__}: {reason(error)}"


def reason(error: BaseException) -> str:
    """What an error says, without values of cells; of one that others raised, only the place in our code is sure.

    Our own are taken at their word: whoever lets one quote another's text clears it first, as DbtFailedError does.
    """
    owner, text = type(error).__module__.partition(".")[0], str(error)
    if owner in OURS or isinstance(error, OSError):
        return text
    if owner in DUCKDB and HEAD.match(text):
        return without_values(text)
    if owner == "sqlalchemy" and type(error).__name__ == "OperationalError":
        return str(getattr(error, "orig", ""))  # the store does not answer, or not in time; its statement is left out
    return f"{_place(error)} {HIDDEN}".strip() if text else _place(error)


def without_values(text: str) -> str:
    """A text cut off where it begins to quote an error that may hold values; the error's kind and place stay.

    `Conversion Error: Could not convert string '137…' to INT32 when casting from source column age` →
    `Conversion Error: column age (values are not shown / 不显示数据内容)`.
    """
    for head in HEAD.finditer(text):
        if not head["kind"].endswith(WITHOUT_VALUES):
            rest = text[head.end() :]
            places = [found[-1] for pattern in PLACES if (found := pattern.findall(rest))]
            return f"{text[: head.end()]}{', '.join(places)} {HIDDEN}".replace(":  (", ": (")
    return text


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if OURS & set(Path(frame.filename).parts)] or frames
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
