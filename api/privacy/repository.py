"""Finding the customer whom a privacy route is about, in the published version and within the caller's reach."""

from sqlalchemy import Connection, select
from sqlalchemy.sql import func

from api.access.actors import Actor
from api.access.permissions import Permission
from api.access.scope import customer_scope
from api.errors import NotFoundError
from api.privacy.erasure import UNKNOWN_CUSTOMER, Person
from api.storage.tables.customers import erasure_request
from segment_engine.runtime.published import PublishedReader


def find_person(
    reader: PublishedReader, connection: Connection, actor: Actor, one_id: str, permission: Permission
) -> Person:
    """The customer, by this id or one they had before; raises NotFoundError when unknown, out of reach or erased."""
    scope, values = customer_scope(actor.reaches(permission))
    with reader.cursor() as (cursor, _):
        row = cursor.execute(
            f"""
            select one_id, (
                select list(identity_key order by identity_key)
                from marts.dim_identity
                where dim_identity.customer_key = dim_customer.customer_key
            ) as identity_keys
            from marts.dim_customer
            where one_id = coalesce((select one_id from marts.one_id_alias where old_one_id = $one_id), $one_id)
                and {scope}
            """,
            {"one_id": one_id, **values},
        ).fetchone()
    if row is None or _is_erased(connection, row[0]):
        raise NotFoundError(UNKNOWN_CUSTOMER)
    return Person(row[0], tuple(row[1]))


def _is_erased(connection: Connection, one_id: str) -> bool:
    found = select(func.count()).select_from(erasure_request).where(erasure_request.c.one_id == one_id)
    return bool(connection.execute(found).scalar_one())
