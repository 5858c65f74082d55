"""Which customers of the published version a caller may put in or take out: by id, or all of a set of keys.

Everything is cut to whom the caller sees and holds the permission for. Whom a filter means is `static_selection`'s.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import duckdb
import numpy as np
import numpy.typing as npt

from api.access.actors import Actor
from api.access.permissions import Permission
from api.access.scope import customer_scope
from api.customers.repository import Conditions
from api.customers.sight import Sight
from segment_engine.runtime.former_ids import former_ids

Keys = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class People:
    """Some customers, in the order of their keys; former: of a customer, the ids that were merged into it."""

    one_ids: tuple[str, ...] = ()
    former: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    last_key: int = -1

    def ids_of(self, one_id: str) -> tuple[str, ...]:
        """The customer's own id and its former ones."""
        return (one_id, *self.former.get(one_id, ()))


def in_reach(
    actor: Actor, erased: Sequence[str], permission: Permission, *, showing: Collection[Permission] = (), path: str = ""
) -> Conditions:
    """Customers whom the actor sees, holds the permission for, and sees what these other permissions open.

    Raises NotPermittedError where one of those opens nothing; `path` is the place of what they guard.
    """
    conditions = Sight(actor, erased).showing(showing, path)
    conditions.extend(holding(actor, permission))
    return conditions


def holding(actor: Actor, permission: Permission) -> Conditions:
    """Customers for whom the actor holds the permission, whether seen or not; no condition where that is everybody."""
    conditions = Conditions()
    if not actor.reaches_everybody(permission):
        conditions.add(*customer_scope(actor.reaches(permission), prefix=permission.replace(".", "_")))
    return conditions


def customers_by_id(
    cursor: duckdb.DuckDBPyConnection, conditions: Conditions, one_ids: Sequence[str]
) -> dict[str, tuple[int, str]]:
    """Of each id, also one before a merge, the customer's key and id now; those out of reach are left out."""
    query = f"""
        select told.one_id, found.customer_key, found.one_id
        from (select unnest($told::varchar[]) as one_id) as told
        left join marts.one_id_alias as alias on told.one_id = alias.old_one_id
        join (select customer_key, one_id from marts.dim_customer where {conditions.text}) as found
            on found.one_id = coalesce(alias.one_id, told.one_id)
    """
    rows = cursor.execute(query, {**conditions.values, "told": list(one_ids)}).fetchall()
    return {told: (int(key), one_id) for told, key, one_id in rows}


def keys_in(cursor: duckdb.DuckDBPyConnection, conditions: Conditions) -> Keys:
    """The keys of everybody in reach."""
    query = f"select customer_key from marts.dim_customer where {conditions.text} order by customer_key"
    found: Keys = cursor.execute(query, conditions.values).fetchnumpy()["customer_key"].astype(np.int64)
    return found


def people_of(cursor: duckdb.DuckDBPyConnection, keys: Keys) -> People:
    """The customers of these keys, in their order."""
    query = """
        select one_id from marts.dim_customer
        where customer_key in (select unnest($keys::integer[]))
        order by customer_key
    """
    one_ids = tuple(row[0] for row in cursor.execute(query, {"keys": keys.tolist()}).fetchall())
    return People(one_ids, former_ids(cursor, one_ids), int(keys[-1]) if len(keys) else -1)


def in_chunks(cursor: duckdb.DuckDBPyConnection, keys: Keys, size: int) -> Iterator[People]:
    """The customers of these keys, so many at a time."""
    for start in range(0, len(keys), size):
        yield people_of(cursor, keys[start : start + size])
