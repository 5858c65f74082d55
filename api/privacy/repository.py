"""Finding the customer whom a privacy route is about, in the published version and within the caller's reach."""

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
    there, hidden = without_erased(erased_customers(connection))
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
                and {scope} and {there}
            """,
            {"one_id": one_id, **values, **hidden},
        ).fetchone()
    if row is None:
        raise NotFoundError(UNKNOWN_CUSTOMER)
    return Person(row[0], tuple(row[1]))
