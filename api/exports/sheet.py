"""What a sheet shows: its columns, in order. How a value is spelt belongs to `xlsx_cells` and `csv`."""

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "integer", "decimal", "day", "moment", "flag"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the file: the query's column `name`, under the heading `label`.

    `name` is put into SQL, so it comes from code and is a plain identifier; `label` may be anything a tenant typed.
    Identifiers with leading zeros or more than 15 digits are `text`, whatever they look like.
    """

    name: str
    label: str
    kind: Kind

    def __post_init__(self) -> None:
        assert re.fullmatch(r"[a-z_][a-z0-9_]*", self.name), f"{self.name!r} is no plain identifier"
