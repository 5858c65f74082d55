"""A world as tables of a DuckDB database, as the engine finds them among published data.

`world.customer` and one table per source, each with `customer_key` and a column per field, the single values of fields
with several in tables of their own, and `world.audience_member`.
What a world holds is read in `world.py`; this module only writes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import duckdb
import pyarrow as pa

from segment_engine.cases.world import ROW_KEY, Values, World, one_id_of
from segment_engine.catalog import Field
from segment_engine.operators import FieldType

SCHEMA: Final = "world"
MEMBERS: Final = f"{SCHEMA}.audience_member"

_TYPES: Final[Mapping[FieldType, pa.DataType]] = {
    FieldType.TEXT: pa.string(),
    FieldType.OPTION: pa.string(),
    FieldType.OPTIONS: pa.list_(pa.string()),
    FieldType.INTEGER: pa.int64(),
    FieldType.DECIMAL: pa.decimal128(18, 6),
    FieldType.MONEY: pa.int64(),
    FieldType.BOOLEAN: pa.bool_(),
    FieldType.DATE: pa.date32(),
    FieldType.DATETIME: pa.timestamp("us", tz="UTC"),
}
_KEY: Final = ("customer_key", pa.int32())

Columns = Sequence[tuple[str, pa.DataType]]
Record = Mapping[str, Any]


def write_world(world: World, con: duckdb.DuckDBPyConnection) -> None:
    """Make the schema and all its tables; the connection must not have them yet."""
    con.execute(f"create schema {SCHEMA}")
    fields = world.catalog.attributes
    customers = ({**_record(key, values, fields), "one_id": one_id_of(key)} for key, values in world.customers.items())
    _write(con, world.catalog.customers, [_KEY, ("one_id", pa.string()), *_columns(fields)], customers)
    _write_children(con, fields, world.customers.items())
    for name, source in world.catalog.sources.items():
        rows = (
            {**_record(row.customer, row.values, source.fields), ROW_KEY: place}
            for place, row in enumerate(world.rows[name])
        )
        _write(con, source.table, [_KEY, (ROW_KEY, pa.int64()), *_columns(source.fields)], rows)
        _write_children(con, source.fields, enumerate(row.values for row in world.rows[name]))
    _write(con, MEMBERS, [("audience_kind", pa.string()), ("audience_id", pa.int64()), _KEY], _members(world))


def _write_children(
    con: duckdb.DuckDBPyConnection, fields: Mapping[str, Field], rows: Iterable[tuple[int, Values]]
) -> None:
    """One row per value of each field with several, under the key of the row that has it."""
    listed = list(rows)
    for name, child in ((name, field.child) for name, field in fields.items() if field.child is not None):
        records = [
            {child.key: key, child.column: value} for key, values in listed for value in _several(values.get(name))
        ]
        _write(con, child.table, [(child.key, pa.int64()), (child.column, pa.string())], records)


def _several(value: Any) -> Iterable[str]:
    return value or ()


def _columns(fields: Mapping[str, Field]) -> Columns:
    return [(name, _TYPES[field.type]) for name, field in fields.items()]


def _record(key: int, values: Values, fields: Mapping[str, Field]) -> Record:
    return {"customer_key": key, **{name: _cell(values.get(name)) for name in fields}}


def _cell(value: Any) -> Any:
    # Arrow reads the clock on the wall, which says one hour twice a year.
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _members(world: World) -> Iterator[Record]:
    for kind, audiences in (("tag", world.tags), ("segment", world.segments)):
        for audience, members in audiences.items():
            for key in sorted(members):
                yield {"audience_kind": kind, "audience_id": audience, "customer_key": key}


def _write(con: duckdb.DuckDBPyConnection, table: str, columns: Columns, records: Iterable[Record]) -> None:
    con.register("written", pa.Table.from_pylist(list(records), schema=pa.schema(columns)))
    schema, name = table.split(".", 1)
    con.execute(f"create table {schema}.{_quoted(name)} as select * from written")
    con.unregister("written")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
