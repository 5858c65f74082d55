"""One customer's own rows, copied aside, so that a filter is asked of them as it is of everybody, and at once.

The copies are temporary tables of one cursor in which the customer has key 0; they are gone with it. Whoever made the
cursor may interrupt it.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Final

import duckdb
import numpy as np

from segment_engine.relations import Relations, Statement
from segment_engine.runtime.bitmaps import Bitmap, of_keys
from segment_engine.runtime.leaves import Version
from segment_engine.runtime.version import Opened

_CUSTOMER: Final = "temp.own_customer"
ALONE: Final = of_keys(np.array([0]), 1)
"""The set of this one customer, over their key in the copies."""

NOBODY: Final = ALONE - ALONE


@dataclass(frozen=True, slots=True)
class OwnRows:
    """Where the copies are."""

    cursor: duckdb.DuckDBPyConnection
    version: Version

    @property
    def relations(self) -> Relations:
        return self.version.marts

    def read(self, statement: Statement) -> list[dict[str, Any]]:
        """The rows of a statement over the copies, by their columns' names."""
        cursor = self.cursor.execute(statement.text, dict(statement.values))
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def own_rows(cursor: duckdb.DuckDBPyConnection, opened: Opened, key: int, sources: Collection[str]) -> OwnRows:
    """The customer as they were then, and their rows of these sources; raises duckdb.Error.

    cursor: new, and of no further use: it is full of copies afterwards
    """
    marts = opened.version.marts
    _copy(cursor, _CUSTOMER, _customers(marts), {"key": key, "day": marts.history_on})
    tables = {}
    for index, name in enumerate(sorted(sources)):
        copy = f"temp.own_{index}"
        _copy(cursor, copy, f"{marts.sources[name].table} where customer_key = $key", {"key": key})
        tables[name] = replace(marts.sources[name], table=copy)
    relations = Relations(zone=marts.zone, customers=_CUSTOMER, sources=tables)
    return OwnRows(cursor, Version(relations, layout=None, keys=1, everyone=ALONE))


def _customers(marts: Relations) -> str:
    if marts.history_on is None:
        return f"{marts.customers} where customer_key = $key and $day is null"
    held = "valid_from <= $day and (valid_to is null or valid_to > $day)"
    return f"{marts.customers} where customer_key = $key and {held}"


def _copy(cursor: duckdb.DuckDBPyConnection, name: str, rows: str, values: dict[str, Any]) -> None:
    text = f"create temp table {name.removeprefix('temp.')} as select * replace (0 as customer_key) from {rows}"
    cursor.execute(text, values)


def alone_if(holds: bool) -> Bitmap:
    """The one customer, or nobody."""
    return ALONE if holds else NOBODY
