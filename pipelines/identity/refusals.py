"""Why files are refused: every problem in both languages, every row of it named.

Which cells are wrong is known in `given.py`; printing belongs to the command.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import duckdb

SHOWN_ROWS: Final = 20
_SHOWN_SIGNS: Final = 80


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with what was given, and where.

    path: `identities/kind`, `config/hub_persons`, `out`; rows: names of the first rows it is about, of `row_count` rows
    """

    code: str
    path: str
    message_zh: str
    message_en: str
    rows: tuple[str, ...] = ()
    row_count: int = 0


class InvalidFilesError(Exception):
    """Nothing was resolved: what was given cannot be used; `problems` holds everything that could be known at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{problem.path}: {problem.message_en}" for problem in problems))
        self.problems = tuple(problems)


def refused_rows(
    con: duckdb.DuckDBPyConnection,
    table: str,
    where: str,
    code: str,
    path: str,
    *,
    zh: str,
    en: str,
    shown: str = "null",
) -> list[Problem]:
    """The problem of all rows of `table` for which `where` holds; none when there is no such row.

    in: `table` has row_number and name_of_row, and is called `refused` in `where`; shown: SQL for the cell to tell
    """
    query = f"from {table} as refused where {where}"
    counted = con.execute(f"select count(*) {query}").fetchone()
    assert counted is not None
    (count,) = counted
    if not count:
        return []
    first = con.execute(f"""
        select row_number, left(coalesce(name_of_row, '–'), {_SHOWN_SIGNS}), left(({shown})::varchar, {_SHOWN_SIGNS})
        {query} order by row_number limit {SHOWN_ROWS}
    """).fetchall()
    rows = tuple(f"row {number} ({name})" + (f": {cell}" if cell else "") for number, name, cell in first)
    return [Problem(code, path, f"{count} 行{zh}", f"{count} {'row' if count == 1 else 'rows'}: {en}", rows, count)]
