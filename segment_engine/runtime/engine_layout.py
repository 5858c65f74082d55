"""How the engine tables of a published file are laid out; using that belongs to `segment_engine.layout`."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from duckdb import DuckDBPyConnection

from segment_engine.catalog import WORDED, Catalog, Field
from segment_engine.layout import CUSTOMERS, ENGINE_SCHEMA, Layout, Stored
from segment_engine.runtime.engine_relations import FORMAT
from segment_engine.runtime.engine_schema import is_ours
from segment_engine.runtime.engine_values import Codes, read_codes


def read_layout(con: DuckDBPyConnection, catalog: Catalog) -> Layout | None:
    """How the file's engine tables are coded, as far as the catalogue knows them; three queries.

    None where the file has none, or has them as another release made them: then the marts answer everything.
    """
    if not is_ours(con):
        return None
    codes = read_codes(con)
    stored = {
        relation: Stored(
            table=f"{ENGINE_SCHEMA}.{relation}",
            rows=rows,
            columns=frozenset(columns),
            codes=_codes_of_fields(fields, columns, codes.get(relation, {})),
            known_until=known_until,
        )
        for relation, rows, known_until, columns in _layout_rows(con)
        if (fields := _fields_of(catalog, relation)) is not None
    }
    if CUSTOMERS not in stored:
        return None
    customers = stored.pop(CUSTOMERS)
    return Layout(keys=customers.rows, customers=customers, sources=stored)


def _layout_rows(con: DuckDBPyConnection) -> list[tuple[str, int, datetime | None, list[str]]]:
    return con.execute(
        f"select relation, rows, known_until, columns from {ENGINE_SCHEMA}.layout where starts_with(shape, $format)",
        {"format": f"[{FORMAT},"},
    ).fetchall()


def _fields_of(catalog: Catalog, relation: str) -> Mapping[str, Field] | None:
    if relation == CUSTOMERS:
        return catalog.attributes
    source = catalog.sources.get(relation)
    return None if source is None else source.fields


def _codes_of_fields(fields: Mapping[str, Field], columns: Sequence[str], codes: Codes) -> Codes:
    """A dictionary for every coded field, also for one that is always missing."""
    return {name: codes.get(name, ()) for name in columns if name in fields and fields[name].type in WORDED}
