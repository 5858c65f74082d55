"""Which ids a customer had before merges of OneID, as a published version tells it.

The operational store keeps a customer under the id of the day on which something was written: what is asked about a
customer is asked about all its ids. The other way, from an old id to whom it is now, is `version.customers_of`'s.
"""

from collections.abc import Sequence

import duckdb


def former_ids(connection: duckdb.DuckDBPyConnection, one_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Of each customer that others were merged into, their ids; the others are left out."""
    query = """
        select one_id, list(old_one_id order by old_one_id)
        from marts.one_id_alias
        where one_id in (select unnest($one_ids::varchar[]))
        group by one_id
    """
    return {one: tuple(olds) for one, olds in connection.execute(query, {"one_ids": list(one_ids)}).fetchall()}
