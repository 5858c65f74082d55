"""The operational store as a night opens it: for a moment, and only where there is one.

What is read from it and written to it belongs to `erasure.orders` and `warehouse.overrides`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from api.storage.database import Database
from api.storage.schema import current_revision
from pipelines.settings import PipelineSettings


@contextmanager
def operational_store(settings: PipelineSettings) -> Iterator[Database | None]:
    """The store, closed behind the block; None where nobody has made one.

    Raises SQLAlchemy's DBAPIError when a store that is configured does not answer.
    """
    if settings.database_url is None and not settings.folders.operational.exists():
        yield None
        return
    store = Database(settings)
    try:
        yield store if current_revision(store) else None
    finally:
        store.close()
