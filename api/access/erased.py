"""Customers who must be forgotten and may still stand in the served version: nobody sees them from the request on.

Making such a request, and what becomes of it, belongs to `api.privacy` and the pipeline.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from api.storage.tables.customers import erasure_request


def erased_customers(connection: Connection) -> list[str]:
    """Their one_ids, as they were at the request."""
    wanted = select(erasure_request.c.one_id).where(erasure_request.c.one_id.is_not(None))
    return [str(row.one_id) for row in connection.execute(wanted)]


def without_erased(erased: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """A predicate over `one_id` that leaves them out, also under the id they were merged into, and its value."""
    if not erased:
        return "(true)", {}
    merged = "select one_id from marts.one_id_alias where list_contains($erased::varchar[], old_one_id)"
    hidden = f"select unnest($erased::varchar[]) union all {merged}"
    return f"(one_id not in ({hidden}))", {"erased": list(erased)}
