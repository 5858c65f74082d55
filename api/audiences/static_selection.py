"""From a selection as it was sent to customers: once with the request, and again by the job that works on it.

A job asks anew: what counts is whom its requester may see at that moment.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np

from api.access.actors import Actor
from api.access.erased import erased_customers
from api.access.permissions import Permission
from api.audiences.static_filter import checked_filter, meant, permissions_in
from api.audiences.static_people import Keys, People, customers_by_id, in_reach, keys_in, people_of
from api.audiences.static_rules import unknown_customer
from api.errors import InvalidError
from api.jobs.context import Services
from segment_engine.runtime.bitmaps import of_keys
from segment_engine.runtime.catalogs import PublishedCatalogs
from segment_engine.runtime.published import Pointer

SelectionTold = Mapping[str, Any]
"""`{"one_ids": […]}` or `{"filter": …}`, as JSON."""


@dataclass(frozen=True, slots=True)
class Picked:
    """Customers by key, and how many that were named the caller does not see."""

    keys: Keys
    not_seen: int = 0


def named_people(services: Services, actor: Actor, permission: Permission, one_ids: Sequence[str], path: str) -> People:
    """The customers of these ids; raises InvalidError that names every id out of reach."""
    with services.reader.cursor() as (cursor, _):
        found = customers_by_id(cursor, in_reach(actor, _erased(services), permission), one_ids)
        unknown = [place for place, one_id in enumerate(one_ids) if one_id not in found]
        if unknown:
            raise InvalidError(*(unknown_customer(f"{path}/{place}") for place in unknown))
        return people_of(cursor, _keys_of(found))


def check_selection(
    services: Services, catalogs: PublishedCatalogs, actor: Actor, permission: Permission, document: Any, path: str
) -> None:
    """Refuse a filter before anything is put into the queue for it; raises InvalidError, NotPermittedError."""
    with services.reader.cursor() as (_, pointer):
        catalog = catalogs.of(pointer)
    with services.database.read() as connection:
        checked = checked_filter(connection, catalog, actor, document, path)
    in_reach(actor, (), permission, showing=permissions_in(checked, catalog), path=path)


def pick(
    services: Services,
    cursor: duckdb.DuckDBPyConnection,
    pointer: Pointer,
    actor: Actor,
    permission: Permission,
    told: SelectionTold,
) -> Picked:
    """Everybody of the selection in reach now; raises InvalidError, NotPermittedError."""
    chosen: Callable[..., Picked] = _by_filter if "filter" in told else _by_ids
    return chosen(services, cursor, pointer, actor, permission, told)


def _by_ids(
    services: Services,
    cursor: duckdb.DuckDBPyConnection,
    _: Pointer,
    actor: Actor,
    permission: Permission,
    told: SelectionTold,
) -> Picked:
    found = customers_by_id(cursor, in_reach(actor, _erased(services), permission), told["one_ids"])
    return Picked(_keys_of(found), len(set(told["one_ids"])) - len(found))


def _by_filter(
    services: Services,
    cursor: duckdb.DuckDBPyConnection,
    pointer: Pointer,
    actor: Actor,
    permission: Permission,
    told: SelectionTold,
) -> Picked:
    catalog = PublishedCatalogs(services.settings.folders).of(pointer)
    erased = _erased(services)
    with services.database.read() as connection:
        checked = checked_filter(connection, catalog, actor, told["filter"], "/filter")
        everybody = meant(cursor, pointer, connection, catalog, services.settings, checked)
    showing = permissions_in(checked, catalog)
    seen = keys_in(cursor, in_reach(actor, erased, permission, showing=showing, path="/filter"))
    return Picked((everybody & of_keys(seen, 64 * len(everybody.words))).keys())


def _keys_of(found: Mapping[str, tuple[int, str]]) -> Keys:
    return np.unique(np.array([key for key, _ in found.values()], dtype=np.int64))


def _erased(services: Services) -> list[str]:
    with services.database.read() as connection:
        return erased_customers(connection)
