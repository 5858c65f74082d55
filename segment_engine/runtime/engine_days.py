"""What changed since the engine's tables were written: a digest per relation and day, of the mart as it was then.

A digest says that a day's rows are the same, in any order; it tells nothing about them.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

from duckdb import DuckDBPyConnection

from segment_engine.layout import ENGINE_SCHEMA
from segment_engine.runtime.engine_relations import KEY, Relation, quoted

LARGEST_TAIL_SHARE: Final = 0.2
"""Of a table's rows that lie behind the ordered ones, in order of days; with more it is laid out anew."""

Digest = tuple[int, str]
Days = Mapping[date | None, Digest]


def read_days(con: DuckDBPyConnection, relation: Relation) -> Days:
    """Rows and digest of every day of the mart; customers are one day, None, as are rows without a time."""
    columns = ", ".join([KEY, *(quoted(field.name) for field in relation.fields)])
    rows = con.execute(
        f"select {relation.day_in_mart} as day, count(*), sum(hash({columns}))::varchar from {relation.mart} group by 1"
    ).fetchall()
    return {day: (count, digest) for day, count, digest in rows}


def held_days(con: DuckDBPyConnection) -> dict[str, dict[date | None, Digest]]:
    """The days of every relation as they were when its table was written."""
    found: dict[str, dict[date | None, Digest]] = {}
    for relation, day, rows, digest in con.execute(f"from {ENGINE_SCHEMA}.day_digest").fetchall():
        found.setdefault(relation, {})[day] = (rows, digest)
    return found


def write_days(con: DuckDBPyConnection, relation: Relation, days: Days) -> None:
    """Put a relation's days in the place of those that it had."""
    con.execute(f"delete from {ENGINE_SCHEMA}.day_digest where relation = $relation", {"relation": relation.name})
    if days:
        counts, digests = zip(*days.values(), strict=True)
        con.execute(
            f"insert into {ENGINE_SCHEMA}.day_digest select $relation, unnest($days::date[]),"
            " unnest($counts::bigint[]), unnest($digests::varchar[])",
            {"relation": relation.name, "days": list(days), "counts": counts, "digests": digests},
        )


def changed_days(days: Days, held: Days) -> list[date | None]:
    """The days that are not as they were: others, new, or gone."""
    return [day for day in {**held, **days} if days.get(day) != held.get(day)]


def rows_of(days: Days, chosen: Sequence[date | None] | None = None) -> int:
    """How many rows the days have together, or the chosen of them."""
    return sum(days[day][0] for day in (days if chosen is None else chosen) if day in days)


def is_short(tail: int, days: Days) -> bool:
    """Whether so many rows may lie behind the ordered ones."""
    return tail <= LARGEST_TAIL_SHARE * rows_of(days)
