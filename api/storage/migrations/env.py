"""What Alembic runs: always inside a transaction that `api.storage.schema` (or a test) opened."""

from alembic import context

from api.storage.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
