"""The schema `engine` of the file that is published: copies of customers and sources in which filters are evaluated.

Texts with few values are numbers, moments have their local day beside them, and rows lie by the field that filters
select by and by day (`segment_engine.layout` says how they are read). All of it is derived from the marts: what is kept
between nights only spares work. When a night builds it belongs to `pipelines.steps`, reading it to `engine_layout`.

    engine.customer    one row per key from 0 on, in order of the keys
    engine.<source>    one row per row of the source's mart; days that came later lie at the end, in order of days
    engine.value       the dictionaries: relation, field, code, value
    engine.layout      one row per relation: rows, how many of them lie in order, until when they are known
    engine.day_digest  one row per relation and day: what the marts held when the tables were written
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from duckdb import DuckDBPyConnection

from segment_engine.catalog import Catalog
from segment_engine.layout import ENGINE_SCHEMA
from segment_engine.runtime.engine_days import (
    Days,
    changed_days,
    held_days,
    is_short,
    read_days,
    rows_of,
    write_days,
)
from segment_engine.runtime.engine_relations import Relation, quoted, relations_of
from segment_engine.runtime.engine_schema import OWN_TABLES, prepare_schema, transaction
from segment_engine.runtime.engine_values import (
    Codes,
    codes_of,
    extends,
    kept_fields,
    read_codes,
    write_codes,
)

How = Literal["rebuilt", "appended", "unchanged"]


@dataclass(frozen=True, slots=True)
class TableReport:
    """What became of one table of the engine."""

    relation: str
    rows: int
    how: How


@dataclass(frozen=True, slots=True)
class EngineReport:
    """What became of all of them."""

    tables: tuple[TableReport, ...]

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)

    @property
    def counts(self) -> dict[How, int]:
        """How many tables were rebuilt, appended to and left alone; only what there is."""
        return dict(sorted(Counter(table.how for table in self.tables).items()))


@dataclass(frozen=True, slots=True)
class _Held:
    """What an earlier night left of one table."""

    rows: int
    sorted_rows: int
    columns: list[str]
    shape: str
    days: Days
    codes: Codes


@dataclass(frozen=True, slots=True)
class _News:
    """What the marts hold tonight of one relation."""

    relation: Relation
    days: Days
    changed: list[date | None]
    codes: Codes
    kept: list[str]


def build_engine(con: DuckDBPyConnection, catalog: Catalog, *, zone: str) -> EngineReport:
    """Bring the schema `engine` of the connection's file to what its marts hold; a fresh build gives the same rows.

    A table whose mart is as it was is not touched. Each relation is one transaction, with a checkpoint behind it, so
    that the next one is written where the last one lay: the connection must have none open. `zone` is the tenant's.
    """
    prepare_schema(con)
    relations = list(relations_of(catalog, _mart_types(con), zone))
    assert not {relation.name for relation in relations} & OWN_TABLES.keys(), "a source has the name of a table of ours"
    held = _read_held(con)
    for name in held.keys() - {relation.name for relation in relations}:
        _forget(con, name)
    return EngineReport(tuple(_bring_up(con, relation, held.get(relation.name)) for relation in relations))


def _bring_up(con: DuckDBPyConnection, relation: Relation, held: _Held | None) -> TableReport:
    days = read_days(con, relation)
    same_shape = held if held is not None and held.shape == relation.shape else None
    changed = changed_days(days, same_shape.days if same_shape is not None else {})
    if same_shape is not None and not changed:
        return TableReport(relation.name, same_shape.rows, "unchanged")
    codes = codes_of(con, relation)
    news = _News(relation, days, changed, codes, kept_fields(relation, codes))
    with transaction(con):
        write_codes(con, relation, codes)
        write_days(con, relation, days)
        report = _append(con, news, same_shape) if same_shape and _may_append(news, same_shape) else _rebuild(con, news)
    con.execute("checkpoint")
    return report


def _may_append(news: _News, held: _Held) -> bool:
    tail = held.rows - held.sorted_rows + rows_of(news.days, news.changed)
    return (
        news.relation.source is not None
        and None not in news.changed
        and news.kept == held.columns
        and extends(news.codes, held.codes, news.relation.lists)
        and is_short(tail, news.days)
    )


def _append(con: DuckDBPyConnection, news: _News, held: _Held) -> TableReport:
    relation, days = news.relation, {"days": news.changed}
    assert relation.day is not None
    con.execute(f"delete from {relation.table} where {quoted(relation.day)} in (select unnest($days::date[]))", days)
    con.execute(f"insert into {relation.table} {relation.rows_of_days(news.codes, news.kept)}", days)
    rows = rows_of(news.days)
    # Nobody counts which of the deleted rows lay in the tail: it is taken to be as long as if none had.
    tail = held.rows - held.sorted_rows + rows_of(news.days, news.changed)
    _write_layout(con, news, rows=rows, sorted_rows=max(0, rows - tail))
    return TableReport(relation.name, rows, "appended")


def _rebuild(con: DuckDBPyConnection, news: _News) -> TableReport:
    relation = news.relation
    columns = [f"{quoted(name)} {type_}" for name, type_ in relation.columns(news.codes, news.kept)]
    con.execute(f"create or replace table {relation.table} ({', '.join(columns)})")
    con.execute(f"comment on table {relation.table} is '{_comment(relation)}'")
    con.execute(f"insert into {relation.table} {relation.rows(news.codes, news.kept)}")
    ((rows,),) = con.execute(f"select count(*) from {relation.table}").fetchall()
    _write_layout(con, news, rows=rows, sorted_rows=rows)
    return TableReport(relation.name, rows, "rebuilt")


def _comment(relation: Relation) -> str:
    rows = "one row per customer_key from 0 on" if relation.source is None else f"the rows of {relation.mart}"
    return f"筛选引擎的数据表:{relation.mart} 的编码副本 ({rows}, coded; for the filter engine)"


def _write_layout(con: DuckDBPyConnection, news: _News, *, rows: int, sorted_rows: int) -> None:
    relation = news.relation
    con.execute(f"delete from {ENGINE_SCHEMA}.layout where relation = $relation", {"relation": relation.name})
    con.execute(
        f"insert into {ENGINE_SCHEMA}.layout"
        f" select $relation, $rows, $sorted_rows, (select {relation.known_until} from {relation.mart}), $kept, $shape",
        {
            "relation": relation.name,
            "rows": rows,
            "sorted_rows": sorted_rows,
            "kept": news.kept,
            "shape": relation.shape,
        },
    )


def _mart_types(con: DuckDBPyConnection) -> Mapping[str, Mapping[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for table, column, type_ in con.execute(
        "select schema_name || '.' || table_name, column_name, data_type from duckdb_columns()"
        " where database_name = current_database()"
    ).fetchall():
        found.setdefault(table, {})[column] = type_
    return found


def _read_held(con: DuckDBPyConnection) -> dict[str, _Held]:
    days, codes = held_days(con), read_codes(con)
    rows = con.execute(f"select relation, rows, sorted_rows, columns, shape from {ENGINE_SCHEMA}.layout").fetchall()
    return {
        relation: _Held(count, ordered, columns, shape, days.get(relation, {}), codes.get(relation, {}))
        for relation, count, ordered, columns, shape in rows
    }


def _forget(con: DuckDBPyConnection, name: str) -> None:
    """Remove a source that the catalogue does not know any more."""
    with transaction(con):
        con.execute(f"drop table {ENGINE_SCHEMA}.{quoted(name)}")
        for table in OWN_TABLES:
            con.execute(f"delete from {ENGINE_SCHEMA}.{table} where relation = $relation", {"relation": name})
