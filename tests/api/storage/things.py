"""A table to write to, and writers who come together."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, text

from api.settings import ApiSettings
from api.storage.database import Database


def with_things(settings: ApiSettings) -> Iterator[Database]:
    database = Database(settings)
    with database.engine.begin() as connection:
        connection.execute(text("create table thing (id integer primary key)"))
    yield database
    database.close()


def adding(number: int) -> Callable[[Connection], int]:
    def work(connection: Connection) -> int:
        connection.execute(text("insert into thing values (:number)"), {"number": number})
        if number % 5 == 0:
            raise ValueError(number)
        return number

    return work


def things(database: Database) -> list[int]:
    with database.read() as connection:
        return sorted(number for (number,) in connection.execute(text("select id from thing")))


def together(database: Database, numbers: list[int]) -> list[Any]:
    """Their outcomes, errors included, when all come before the first is written."""

    async def everybody() -> list[Any]:
        return await asyncio.gather(*map(database.write_async, map(adding, numbers)), return_exceptions=True)

    return asyncio.run(everybody())


def all_at_once(database: Database, *works: Callable[[Connection], Any]) -> list[Any]:
    """What became of works that are written together."""

    async def everybody() -> list[Any]:
        return await asyncio.gather(*map(database.write_async, works), return_exceptions=True)

    return asyncio.run(everybody())
