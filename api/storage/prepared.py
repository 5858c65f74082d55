"""Statements that run with every request: compiled once per engine and handed to the driver as they are.

SQLAlchemy's own way costs more time than the database takes for them. What runs seldom has no business here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

from psycopg import AsyncConnection
from sqlalchemy import Connection, Dialect, PoolProxiedConnection, Select
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeDecorator, TypeEngine

Converter = Callable[[Any], Any]
Rows = Sequence[tuple[Any, ...]]


class Prepared:
    """One statement whose every value is a named bind parameter; the same text on every call."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}
        columns = statement.selected_columns if isinstance(statement, Select) else ()
        self._columns = [(column.name, _meaning(column.type)) for column in columns]

    def run(self, connection: Connection, values: Mapping[str, Any]) -> Rows:
        """Execute it; rows come as the driver spells them, `values` as the columns' types take them."""
        return self.run_on(connection.connection, connection.dialect, values)

    def run_on(self, driver: PoolProxiedConnection, dialect: Dialect, values: Mapping[str, Any]) -> Rows:
        """`run` on a connection of the driver; errors are SQLAlchemy's all the same."""
        compiled = self._compiled.get(dialect.name) or self._compile(dialect)
        cursor = driver.cursor()
        try:
            cursor.execute(compiled.text, compiled.parameters(values))
            return cursor.fetchall() if compiled.gives_rows else []
        except dialect.loaded_dbapi.Error as error:  # as below, but without the cost of entering a context
            raise _as_everywhere(error, compiled.text, dialect) from error
        finally:
            cursor.close()

    async def ask(self, driver: AsyncConnection[Any], dialect: Dialect, values: Mapping[str, Any]) -> Rows:
        """The rows of a query on a connection of psycopg's, while the event loop goes on."""
        compiled = self._compiled.get(dialect.name) or self._compile(dialect)
        with errors_as_everywhere(compiled.text, dialect):
            cursor = await driver.execute(compiled.text, compiled.parameters(values))
            return await cursor.fetchall()

    def decoded(self, row: Sequence[Any]) -> Any:
        """A row of a query as its columns' types mean it, by their names."""
        return SimpleNamespace(
            **{
                name: value if meant is None else meant(value)
                for (name, meant), value in zip(self._columns, row, strict=True)
            }
        )

    def _compile(self, dialect: Dialect) -> "_Compiled":
        compiled = self._compiled[dialect.name] = _Compiled(self._statement, dialect)
        return compiled


@contextmanager
def errors_as_everywhere(statement: str, dialect: Dialect) -> Iterator[None]:
    """Raise what the driver raises as SQLAlchemy would."""
    try:
        yield
    except dialect.loaded_dbapi.Error as error:
        raise _as_everywhere(error, statement, dialect) from error


def _as_everywhere(error: Exception, statement: str, dialect: Dialect) -> BaseException:
    return DBAPIError.instance(statement, None, error, dialect.loaded_dbapi.Error, dialect=dialect)


class _Compiled:
    """The text for one engine, and how its parameters and rows are spelt there."""

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        assert isinstance(compiled, SQLCompiler), "only statements have parameters"
        self.text = str(compiled)
        self.gives_rows = isinstance(statement, Select) or bool(compiled.effective_returning)
        names = compiled.bind_names.items()
        spell = {name: bind.type.dialect_impl(dialect).bind_processor(dialect) for bind, name in names}
        # Of the parameters that the statement brings along; the others must be given.
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}
        self._positions = [(name, spell[name]) for name in compiled.positiontup or ()]
        self._names = list(spell.items()) if compiled.positiontup is None else None

    def parameters(self, values: Mapping[str, Any]) -> Any:
        """A tuple or a dict, as the driver wants them; raises KeyError for one that is missing."""
        if self._constants:
            values = {**self._constants, **values}
        if self._names is None:
            return [values[name] if spell is None else spell(values[name]) for name, spell in self._positions]
        return {name: values[name] if spell is None else spell(values[name]) for name, spell in self._names}


def _meaning(kind: TypeEngine[Any]) -> Converter | None:
    """How our own types read what either engine gives; it does not depend on which."""
    if not isinstance(kind, TypeDecorator):
        return None
    return partial(kind.process_result_value, dialect=DefaultDialect())
