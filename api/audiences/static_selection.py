"""From a selection as it was sent to customers: once with the request, and again by the job that works on it.

A job asks anew: what counts is whom its requester may see at that moment. What filters mean, and whom the customer list
shows, is decided in `api.filters` and `api.customers`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import numpy as np

from api.access.actors import Actor
from api.access.erased import erased_customers
from api.access.permissions import Permission
from api.audiences.static_people import Keys, People, customers_by_id, holding, in_reach, keys_in, people_of
from api.audiences.static_rules import unknown_customer
from api.customers.asking import Asker
from api.customers.current import asker_of
from api.customers.schemas import CustomerSelection
from api.customers.selection import Meant, meant, meant_by_filter
from api.errors import InvalidError
from api.filters.evaluator import Session
from api.jobs.context import Services
from segment_engine.runtime.limited import Budget

SelectionTold = Mapping[str, Any]
"""`{"one_ids": […]}`, `{"filter": …}` or `{"search": …}`, as JSON."""

# Nobody sits in front of a job: it may wait for its turn while people ask filters, and take longer than they would.
TURN_SECONDS: Final = 300.0
LONGEST_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Picked:
    """Customers by key, and how many that were named the caller does not see."""

    keys: Keys
    not_seen: int = 0


def long_budget() -> Budget:
    """How long the filter of a job may take."""
    return Budget(LONGEST_SECONDS)


def named_people(services: Services, actor: Actor, permission: Permission, one_ids: Sequence[str], path: str) -> People:
    """The customers of these ids; raises InvalidError that names every id out of reach."""
    with services.reader.cursor() as (cursor, _):
        found = customers_by_id(cursor, in_reach(actor, _erased(services), permission), one_ids)
        unknown = [place for place, one_id in enumerate(one_ids) if one_id not in found]
        if unknown:
            raise InvalidError(*(unknown_customer(f"{path}/{place}") for place in unknown))
        return people_of(cursor, _keys_of(found))


def check_selection(services: Services, actor: Actor, told: SelectionTold, path: str) -> None:
    """Refuse a filter or a search before it is put into the queue; raises InvalidError, NotPermittedError."""
    with services.filters.session() as session:
        _meant(session, _asker(services, actor), told, path)


def pick(services: Services, session: Session, actor: Actor, permission: Permission, told: SelectionTold) -> Picked:
    """Everybody of the selection in reach now; raises InvalidError, NotPermittedError, NotReadyError."""
    if "one_ids" in told:
        return _by_ids(session.cursor, services, actor, permission, told["one_ids"])
    asker = _asker(services, actor)
    asked = _meant(session, asker, told, "")
    with services.filters.turns.taken(TURN_SECONDS):
        conditions = asked.selection(session, asker).conditions
    conditions.extend(holding(actor, permission))
    return Picked(keys_in(session.cursor, conditions))


def _meant(session: Session, asker: Asker, told: SelectionTold, path: str) -> Meant:
    if "search" in told:
        return meant(session, asker, CustomerSelection.model_validate(told["search"]), place=f"{path}/search")
    return meant_by_filter(session, asker, told["filter"], place=f"{path}/filter")


def _by_ids(
    cursor: duckdb.DuckDBPyConnection,
    services: Services,
    actor: Actor,
    permission: Permission,
    one_ids: Sequence[str],
) -> Picked:
    found = customers_by_id(cursor, in_reach(actor, _erased(services), permission), one_ids)
    return Picked(_keys_of(found), len(set(one_ids)) - len(found))


def _keys_of(found: Mapping[str, tuple[int, str]]) -> Keys:
    return np.unique(np.array([key for key, _ in found.values()], dtype=np.int64))


def _asker(services: Services, actor: Actor) -> Asker:
    return asker_of(actor, services.database, services.filters.audiences)


def _erased(services: Services) -> list[str]:
    with services.database.read() as connection:
        return erased_customers(connection)
