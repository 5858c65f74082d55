"""Who must be forgotten, told to a transaction that is about to write something about customers."""

from sqlalchemy import Connection, select, text

from api.storage.tables.customers import erasure_request


def hold_erasures(connection: Connection) -> frozenset[str]:
    """The one_ids to be forgotten; until the transaction ends no further order is given.

    Without that an order could be given, and take out what there is, just before we write about its customer. Take it
    before locks of single rows. SQLite has one writer anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("lock table erasure_request in share mode"))
    wanted = select(erasure_request.c.one_id).where(erasure_request.c.one_id.is_not(None))
    return frozenset(connection.scalars(wanted))
