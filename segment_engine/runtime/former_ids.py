"""Who the ids of the operational store are now: merges of OneID, as a published version tells them.

A tag was put on a customer under the id of that day. If that customer has been merged, the version's `one_id_alias`
leads to whom it is now; after an undone merge the id stands for itself again.
"""

from collections.abc import Sequence
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

_KEYS: Final = """
    select customer_key from told inner join marts.dim_customer using (one_id)
    union
    select customer_key from told inner join marts.one_id_alias on told.one_id = one_id_alias.old_one_id
    order by customer_key
"""


def keys_of_ids(connection: duckdb.DuckDBPyConnection, one_ids: Sequence[str]) -> npt.NDArray[np.int64]:
    """The keys of the customers whom these ids mean now, each once, in order; an id of nobody leads nowhere."""
    with_ids = connection.from_arrow(pa.table({"one_id": pa.array(one_ids, pa.string())}))
    told = with_ids.query("told", _KEYS)
    assert told is not None, "a query has an answer"
    keys: npt.NDArray[np.int64] = told.fetchnumpy()["customer_key"].astype(np.int64)
    return keys


def former_ids(connection: duckdb.DuckDBPyConnection, one_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Of each customer that others were merged into, their ids; the others are left out."""
    query = """
        select one_id, list(old_one_id order by old_one_id)
        from marts.one_id_alias
        where one_id in (select unnest($one_ids::varchar[]))
        group by one_id
    """
    return {one: tuple(olds) for one, olds in connection.execute(query, {"one_ids": list(one_ids)}).fetchall()}
