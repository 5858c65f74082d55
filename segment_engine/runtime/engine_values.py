"""The dictionaries of the engine's tables: which texts have few enough values to be numbers, and which number is whose.

Codes count from 1 in the order of the texts as Python compares them, which is that of their UTF-8 bytes; 0 is missing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from duckdb import DuckDBPyConnection

from segment_engine.catalog import WORDED
from segment_engine.layout import CODED, ENGINE_SCHEMA, WORD_BITS, word_columns
from segment_engine.runtime.engine_relations import Relation, code_type, quoted

MOST_VALUES: Final = 4_096
"""Of a text; one with more stays with the marts."""

MOST_LISTED: Final = 4 * WORD_BITS
"""Of all lists of a field together."""

Codes = Mapping[str, tuple[str, ...]]


def codes_of(con: DuckDBPyConnection, relation: Relation) -> Codes:
    """The values of every text of the mart that has few, in order of the fields."""
    texts = [field.name for field in relation.fields if field.type in WORDED]
    # Collecting the values of a text that is different in every row would take the memory that only few deserve; the
    # estimate is never wrong by half.
    guesses = _one_row(con, [f"approx_count_distinct({quoted(name)})" for name in texts], relation)
    likely = [name for name, guess in zip(texts, guesses, strict=True) if guess <= 2 * MOST_VALUES]
    found = _one_row(con, [f"list(distinct {quoted(name)})" for name in likely], relation)
    values = {name: _sorted(one) for name, one in zip(likely, found, strict=True)}
    few = {name: one for name, one in values.items() if len(one) <= MOST_VALUES}
    return few | {name: one for name in relation.lists if (one := _listed(con, relation, name)) is not None}


def kept_fields(relation: Relation, codes: Codes) -> list[str]:
    """The names of the fields that are kept: coded, a number, a truth or a date."""
    return [field.name for field in relation.fields if field.type not in CODED or field.name in codes]


def extends(codes: Codes, held: Codes, lists: Collection[str]) -> bool:
    """Whether every code given out means the same still, and fits where it is kept; `lists` are kept as bits."""
    return codes.keys() == held.keys() and all(
        values[: len(held[name])] == held[name]
        and code_type(values) == code_type(held[name])
        and (name not in lists or word_columns(name, values) == word_columns(name, held[name]))
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


def _listed(con: DuckDBPyConnection, relation: Relation, name: str) -> tuple[str, ...] | None:
    """The different values in all lists of a field; None where there are too many."""
    elements = f"select unnest({quoted(name)}) as value from {relation.mart}"
    # Of more than there may be it is enough to know that there are.
    rows = con.execute(f"select distinct value from ({elements}) where value <> '' limit {MOST_LISTED + 1}").fetchall()
    return _sorted(value for (value,) in rows) if len(rows) <= MOST_LISTED else None


def _sorted(values: Iterable[str | None] | None) -> tuple[str, ...]:
    return tuple(sorted(filter(None, values or ())))


def _one_row(con: DuckDBPyConnection, columns: Sequence[str], relation: Relation) -> tuple[Any, ...]:
    if not columns:
        return ()
    row: tuple[Any, ...] = con.execute(f"select {', '.join(columns)} from {relation.mart}").fetchall()[0]
    return row
