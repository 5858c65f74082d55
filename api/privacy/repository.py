"""Finding the customer whom a privacy route is about, in the published version and within the caller's reach."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from api.access.actors import Actor
from api.access.erased import erased_customers, without_erased
from api.access.permissions import Permission
from api.access.scope import customer_scope
from api.errors import NotFoundError
from api.privacy.erasure import UNKNOWN_CUSTOMER, Person
from segment_engine.runtime.published import PublishedReader


def find_person(
    reader: PublishedReader, connection: Connection, actor: Actor, one_id: str, permission: Permission
) -> Person:
    """The customer, by this id or one they had before; raises NotFoundError when unknown, out of reach or erased."""
    scope, values = customer_scope(actor.reaches(permission))
    seen = f"customer_key in (select customer_key from marts.dim_customer where {scope})"
    return _find(reader, connection, one_id, seen, values)


def find_anybody(
    reader: PublishedReader, connection: Connection, actor: Actor, one_id: str, permission: Permission
) -> Person:
    """`find_person`, and for who reaches every customer also somebody whose records the sources have deleted."""
    if actor.reaches_everybody(permission):
        return _find(reader, connection, one_id, "true", {})
    return find_person(reader, connection, actor, one_id, permission)


def _find(reader: PublishedReader, connection: Connection, one_id: str, seen: str, values: Mapping[str, Any]) -> Person:
    there, hidden = without_erased(erased_customers(connection))
    with reader.cursor() as (cursor, _):
        row = cursor.execute(
            f"""
            select one_id, list(identity_key order by identity_key), (
                select coalesce(list(old_one_id order by old_one_id), [])
                from marts.one_id_alias
                where one_id_alias.one_id = dim_identity.one_id
            )
            from marts.dim_identity
            where one_id = coalesce((select one_id from marts.one_id_alias where old_one_id = $one_id), $one_id)
                and {seen} and {there}
            group by one_id
            """,
            {"one_id": one_id, **values, **hidden},
        ).fetchone()
    if row is None:
        raise NotFoundError(UNKNOWN_CUSTOMER)
    return Person(row[0], tuple(row[1]), tuple(row[2]))
