"""What operators decided about who is one person: taken over from the operational store, and which of it stands.

A night reads the store once, in its ingest, as it takes batches: what somebody decides while it runs is the next
night's. What the rows do is said in `pipelines.identity.overrides`, who may write them in `api.identity`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
from duckdb import DuckDBPyConnection

from api.storage.overrides import Contradiction, OperatorRow, Standing, operator_rows
from pipelines.identity.frames import store
from pipelines.identity.overrides import IN_FORCE
from pipelines.operational import operational_store
from pipelines.settings import PipelineSettings

COLUMNS = ("id", "kind", "a", "b", "valid_from", "revoked_at")
TABLE = """
    create table if not exists ingest.identity_override (
        id varchar not null, kind varchar not null, a varchar not null, b varchar not null,
        valid_from timestamp with time zone, revoked_at timestamp with time zone
    )
"""
RELATION = "standing_override"


@dataclass(frozen=True, slots=True)
class StandingRows:
    """The rows in force in a night, and those of them that are left out since they contradict earlier ones."""

    rows: tuple[OperatorRow, ...]
    left_out: tuple[tuple[OperatorRow, Contradiction], ...]


def read_overrides(settings: PipelineSettings) -> list[OperatorRow]:
    """Every row of the store, revoked ones too; none when there is no store yet."""
    with operational_store(settings) as found:
        if found is None:
            return []
        with found.read() as connection:
            return operator_rows(connection, in_force_only=False)


def take_overrides(con: DuckDBPyConnection, rows: Sequence[OperatorRow]) -> None:
    """Make the warehouse hold these rows and no others."""
    moment = pa.timestamp("us", tz="UTC")
    types = {name: moment if name in ("valid_from", "revoked_at") else pa.string() for name in COLUMNS}
    store(con, "taken_override", {n: pa.array([getattr(row, n) for row in rows], type=types[n]) for n in COLUMNS})
    con.execute(TABLE)
    con.execute("begin")
    con.execute("delete from ingest.identity_override")
    con.execute("insert into ingest.identity_override from taken_override")
    con.execute("commit")


def standing_overrides(con: DuckDBPyConnection, night: date) -> StandingRows:
    """The rows in force that night. Of two that contradict each other the later is left out.

    The API takes no such row, but a store may be edited by hand or put together from two, and what is wrong about one
    row must not stop every night from then on.
    """
    con.execute(TABLE)
    found = con.execute(
        f"select {', '.join(COLUMNS)} from ingest.identity_override where {IN_FORCE} order by valid_from, id",
        {"night": night},
    ).fetchall()
    standing, rows, left_out = Standing(), [], []
    for row in (OperatorRow(*values) for values in found):
        contradictions = standing.against(row)
        if contradictions:
            left_out.append((row, contradictions[0]))
        else:
            standing.add(row)
            rows.append(row)
    return StandingRows(tuple(rows), tuple(left_out))


def offer_overrides(con: DuckDBPyConnection, rows: Sequence[OperatorRow]) -> str:
    """The name of a temporary relation of these rows, as `resolve_night` takes them."""
    con.execute(
        f"""
        create or replace temp table {RELATION} as
        select * from ingest.identity_override where list_contains($ids::varchar[], id)
        """,
        {"ids": [row.id for row in rows]},
    )
    return RELATION
