"""Reading the analysts' guide: its questions, their SQL and the columns they promise."""

import re
from dataclasses import dataclass
from pathlib import Path

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "analysts.md"
QUESTION = re.compile(
    r"^### (?P<title>\d+\. .+?)\n(?P<text>.*?)^Columns: (?P<columns>.+?)\n```sql\n(?P<sql>.*?)^```",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Question:
    """One question of the guide with its answer in SQL."""

    title: str
    columns: list[str]
    may_be_empty: bool
    sql: str


def questions() -> list[Question]:
    """Every question of the guide, in its order."""
    return [
        Question(
            title=found["title"],
            columns=re.findall(r"`(\w+)`", found["columns"]),
            may_be_empty="may be empty" in found["columns"],
            sql=found["sql"],
        )
        for found in QUESTION.finditer(GUIDE.read_text("utf-8"))
    ]


def table_map() -> set[str]:
    """The tables named in the first column of the guide's table map."""
    rows = re.findall(r"^\| (`.+?) \|", GUIDE.read_text("utf-8"), re.MULTILINE)
    return {name.removeprefix("meta.") for row in rows for name in re.findall(r"`([\w.]+)`", row)}
