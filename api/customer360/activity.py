"""SQL over the kinds of activity: where the rows of one customer are, and how many of each kind a day has."""

from collections.abc import Sequence
from datetime import date
from itertools import groupby

import duckdb

from api.customer360.kind import Kind
from api.customers.rows import spots_sql

Group = tuple[str, str, str]


def activity_sql(kinds: Sequence[Kind]) -> str:
    """Spots of `$customer_key` from `$first_day` to `$last_day` in these kinds, at least one.

    The source of a spot is the number of its kind. A mart is read once for all its kinds of one moment. Days are looked
    at over all marts together: DuckDB plans as long as it reads, and plans this in three quarters of the time.
    """
    numbered = sorted(enumerate(kinds), key=lambda one: (_group(one[1]), one[0]))
    groups = [list(group) for _, group in groupby(numbered, key=lambda one: _group(one[1]))]
    union = " union all ".join(_group_sql(group) for group in groups)
    return f"select * from ({union}) where cast(moment as date) between $first_day and $last_day"


def _group(kind: Kind) -> Group:
    return kind.table, kind.moment, kind.customer


def _group_sql(numbered: Sequence[tuple[int, Kind]]) -> str:
    table, moment, customer = _group(numbered[0][1])
    cases = " ".join(f"when {kind.when} then {number}" for number, kind in numbered)
    return spots_sql(f"case {cases} end", table, moment=moment, where=f"{customer} = $customer_key")


def counts_by_day(
    cursor: duckdb.DuckDBPyConnection, kinds: Sequence[Kind], customer_key: int, *, first: date, last: date
) -> list[tuple[date, Kind, int]]:
    """How many rows of each kind each day has, where it has any; days are of the session's zone."""
    statement = f"""
        select cast(moment as date) as day, source, count(*)
        from ({activity_sql(kinds)})
        where source is not null
        group by all
        order by all
    """
    values = {"customer_key": customer_key, "first_day": first, "last_day": last}
    found = cursor.execute(statement, values).fetchall()
    return [(day, kinds[number], count) for day, number, count in found]
