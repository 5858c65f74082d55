"""The dictionaries of the engine's tables: which texts have few enough values to be numbers, and which number is whose.

Codes count from 1 in the order of the texts as Python compares them, which is that of their UTF-8 bytes; 0 is missing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from duckdb import DuckDBPyConnection

from segment_engine.catalog import WORDED
from segment_engine.layout import ENGINE_SCHEMA
from segment_engine.operators import FieldType
from segment_engine.runtime.engine_relations import Relation, code_type, quoted

MOST_VALUES: Final = 4_096
"""Of a text, or of all lists of a field together; one with more stays with the marts."""

Codes = Mapping[str, tuple[str, ...]]


def codes_of(con: DuckDBPyConnection, relation: Relation) -> Codes:
    """The values of every text of the mart that has few, in order of the fields."""
    texts = [field.name for field in relation.fields if field.type in WORDED]
    # Collecting the values of a text that is different in every row would take the memory that only few deserve; the
    # estimate is never wrong by half.
    guesses = _one_row(con, [f"approx_count_distinct({quoted(name)})" for name in texts], relation)
    likely = [name for name, guess in zip(texts, guesses, strict=True) if guess <= 2 * MOST_VALUES]
    found = _one_row(con, [f"list(distinct {quoted(name)})" for name in likely], relation)
    values = {name: tuple(sorted(filter(None, one or ()))) for name, one in zip(likely, found, strict=True)}
    return {name: one for name, one in values.items() if len(one) <= MOST_VALUES}


def kept_fields(con: DuckDBPyConnection, relation: Relation, codes: Codes) -> list[str]:
    """The names of the fields that are kept: coded, a number, a truth, a date, or lists of few values."""
    return [
        field.name
        for field in relation.fields
        if (field.type not in WORDED or field.name in codes)
        and (field.type is not FieldType.OPTIONS or _has_few(con, relation, field.name))
    ]


def extends(codes: Codes, held: Codes) -> bool:
    """Whether every code that was given out means the same still, and fits where it is kept."""
    return codes.keys() == held.keys() and all(
        values[: len(held[name])] == held[name] and code_type(values) == code_type(held[name])
        for name, values in codes.items()
    )


def read_codes(con: DuckDBPyConnection) -> dict[str, dict[str, tuple[str, ...]]]:
    """All dictionaries that are held, by relation and field; one of a field that is always missing is not there."""
    rows = con.execute(
        f"select relation, field, list(value order by code) from {ENGINE_SCHEMA}.value group by all"
    ).fetchall()
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for relation, field, values in rows:
        found.setdefault(relation, {})[field] = tuple(values)
    return found


def write_codes(con: DuckDBPyConnection, relation: Relation, codes: Codes) -> None:
    """Put a relation's dictionaries in the place of those that it had."""
    con.execute(f"delete from {ENGINE_SCHEMA}.value where relation = $relation", {"relation": relation.name})
    rows = [(name, code, value) for name, values in codes.items() for code, value in enumerate(values, 1)]
    if rows:
        fields, numbers, values = zip(*rows, strict=True)
        con.execute(
            f"insert into {ENGINE_SCHEMA}.value"
            " select $relation, unnest($fields::varchar[]), unnest($codes::integer[]), unnest($values::varchar[])",
            {"relation": relation.name, "fields": fields, "codes": numbers, "values": values},
        )


def _has_few(con: DuckDBPyConnection, relation: Relation, name: str) -> bool:
    elements = f"select unnest({quoted(name)}) as value from {relation.mart}"
    (count,) = con.execute(f"select approx_count_distinct(value) from ({elements})").fetchall()[0]
    if count > 2 * MOST_VALUES:
        return False
    (count,) = con.execute(f"select count(distinct value) from ({elements})").fetchall()[0]
    return bool(count <= MOST_VALUES)


def _one_row(con: DuckDBPyConnection, columns: Sequence[str], relation: Relation) -> tuple[Any, ...]:
    if not columns:
        return ()
    row: tuple[Any, ...] = con.execute(f"select {', '.join(columns)} from {relation.mart}").fetchall()[0]
    return row
