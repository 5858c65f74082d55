"""The schema `engine` itself, and the tables in it that tell about the others.

What the others hold belongs to `engine_relations`, writing them to `engine_tables`, reading all to `engine_layout`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from duckdb import DuckDBPyConnection

from segment_engine.layout import ENGINE_SCHEMA

OWN_TABLES: Final = {
    "value": (
        {
            "relation": "varchar not null", "field": "varchar not null",
            "code": "integer not null", "value": "varchar not null",
        },
        "筛选引擎的字典:编码与取值 (one row per value of a coded field; for the filter engine)",
    ),
    "layout": (
        {
            "relation": "varchar not null", "rows": "bigint not null", "sorted_rows": "bigint not null",
            "known_until": "timestamptz", "columns": "varchar[] not null", "shape": "varchar not null",
        },
        "筛选引擎的数据表:行数、有序行数、已知截止时刻 (one row per table of the filter engine)",
    ),
    "day_digest": (
        {"relation": "varchar not null", "day": "date", "rows": "bigint not null", "digest": "varchar not null"},
        "筛选引擎各表每天的校验值 (one row per table of the filter engine and day)",
    ),
}  # fmt: skip


def prepare_schema(con: DuckDBPyConnection) -> None:
    """Create the schema and its own tables; those of another release go with everything that lies beside them."""
    if is_ours(con):
        return
    con.execute(f"drop schema if exists {ENGINE_SCHEMA} cascade")
    con.execute(f"create schema {ENGINE_SCHEMA}")
    for name, (columns, comment) in OWN_TABLES.items():
        listed = ", ".join(f"{column} {type_}" for column, type_ in columns.items())
        con.execute(f"create table {ENGINE_SCHEMA}.{name} ({listed})")
        con.execute(f"comment on table {ENGINE_SCHEMA}.{name} is '{comment}'")


def is_ours(con: DuckDBPyConnection) -> bool:
    """Whether the schema is there, as this release makes it."""
    found = con.execute(
        "select table_name, list(column_name order by column_index) from duckdb_columns()"
        " where database_name = current_database() and schema_name = $schema and table_name in $names group by all",
        {"schema": ENGINE_SCHEMA, "names": list(OWN_TABLES)},
    ).fetchall()
    return dict(found) == {name: list(columns) for name, (columns, _) in OWN_TABLES.items()}


@contextmanager
def transaction(con: DuckDBPyConnection) -> Iterator[None]:
    """All of the block or nothing."""
    con.execute("begin")
    try:
        yield
    except BaseException:
        con.execute("rollback")
        raise
    con.execute("commit")
