"""Long lists of texts as one bind value: a list of parameters has an end, and is compiled anew for every length."""

import json
from collections.abc import Iterable

from sqlalchemy import JSON, ColumnElement, Connection, Select, Text, bindparam, cast, func, literal, select, true

# Of an insert SQLAlchemy does not tell how many rows it met, unless it is asked to.
COUNTED = {"preserve_rowcount": True}


def listed(connection: Connection, texts: Iterable[str]) -> Select[str]:
    """A query whose rows are the texts, in a column `value`: to select from, and for `in_`."""
    told = json.dumps(list(texts), ensure_ascii=False)
    if connection.dialect.name == "sqlite":
        value: ColumnElement[str] = func.json_each(literal(told, Text())).table_valued("value").c.value
    else:
        value = func.json_array_elements_text(cast(bindparam(None, told, Text()), JSON)).table_valued("value").c.value
    # On SQLite `insert … select … on conflict` cannot be read without a `where`.
    return select(cast(value, Text()).label("value")).where(true())
