"""The ledger of ingest: which batch came, what became of it and why, and which rows were refused. No clock inside.

Deciding what becomes of a batch belongs to `load`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from duckdb import DuckDBPyConnection

from pipelines.ingest.problems import Problem

# Without primary keys. DuckDB keeps a key in nodes of whose bytes up to 14 in a row are unused, and writes those as the
# process's memory left them (duckdb/duckdb#23382): a phone of somebody erased would fit. The writer lock and
# `known_batches` keep the rows unique.
LEDGER_TABLES = (
    """
    create table if not exists ingest.batch (
        batch_id varchar not null,
        source varchar not null,
        table_name varchar not null,
        status varchar not null check (status in ('loaded', 'refused')),
        manifest_sha256 varchar not null,
        window_from timestamp with time zone,
        window_to timestamp with time zone,
        business_day date,
        manifest_rows bigint,
        loaded_rows bigint not null,
        rejected_rows bigint not null,
        erased_rows bigint not null,
        superseded_rows bigint not null check (superseded_rows between 0 and loaded_rows),
        unknown_columns varchar[] not null,
        guessed_encodings varchar[] not null,
        refusal_code varchar,
        refusal_message_zh varchar,
        refusal_message_en varchar,
        check (status <> 'loaded' or loaded_rows + rejected_rows + erased_rows = manifest_rows),
        check ((status = 'refused') = (refusal_code is not null))
    )
    """,
    """
    create table if not exists ingest.rejection (
        batch_id varchar not null,
        source varchar not null,
        table_name varchar not null,
        file varchar not null,
        column_name varchar,
        code varchar not null,
        rows bigint not null,
        first_line bigint not null,
        sample varchar
    )
    """,
    # Requests whose customer this file does not know any more, and whether a version built from it was served since.
    "create table if not exists ingest.erasure (request_id varchar not null, is_served boolean not null)",
    # Digests of what identified these customers, to recognise them in rows that are refused.
    "create table if not exists ingest.erased_value (digest varchar not null)",
)


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One row of `ingest.batch`: a batch as it was loaded or refused.

    `manifest_rows` counts the rows as the source delivered them, those erased since included.
    """

    batch_id: str
    source: str
    table_name: str
    status: str
    manifest_sha256: str
    window_from: datetime | None
    window_to: datetime | None
    business_day: date | None
    manifest_rows: int | None
    loaded_rows: int = 0
    rejected_rows: int = 0
    erased_rows: int = 0
    superseded_rows: int = 0
    unknown_columns: tuple[str, ...] = ()
    guessed_encodings: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger says about a batch id before the batch is looked at."""

    status: str
    manifest_sha256: str
    manifest_rows: int
    loaded_rows: int
    rejected_rows: int
    erased_rows: int
    superseded_rows: int


def create_ledger(con: DuckDBPyConnection) -> None:
    """Create the ledger's tables where they are missing; a ledger of before erasures gets their column."""
    for statement in LEDGER_TABLES:
        con.execute(statement)
    columns = con.execute("select column_name from (describe ingest.batch)").fetchall()
    if ("erased_rows",) in columns:
        return
    con.execute("begin")
    con.execute("create temp table old_batch as select *, 0 as erased_rows from ingest.batch")
    con.execute("drop table ingest.batch")
    con.execute(LEDGER_TABLES[0])
    con.execute("insert into ingest.batch by name from old_batch")
    con.execute("drop table old_batch")
    con.execute("commit")


def purged_requests(con: DuckDBPyConnection) -> dict[str, bool]:
    """The erasure requests whose customer is gone from this file, and whether a version without them was served."""
    there = con.execute(
        "select count(*) from duckdb_tables() where schema_name = 'ingest' and table_name = 'erasure'"
    ).fetchone()
    if there == (0,):
        return {}
    return dict(con.execute("select request_id, is_served from ingest.erasure order by all").fetchall())


def known_batches(con: DuckDBPyConnection) -> dict[tuple[str, str, str], Known]:
    """The loaded batches by (source, table, batch id)."""
    rows = con.execute(
        """
        select source, table_name, batch_id, status, manifest_sha256, manifest_rows, loaded_rows, rejected_rows,
            erased_rows, superseded_rows
        from ingest.batch
        where status = 'loaded'
        """
    ).fetchall()
    return {(source, table, batch_id): Known(*rest) for source, table, batch_id, *rest in rows}


def write_entry(con: DuckDBPyConnection, entry: LedgerEntry) -> None:
    """Replace what the ledger says about a batch; a loaded entry also clears earlier refusals of its batch id.

    The refusals of a batch are told by the code of the first problem and the sentences of all.
    """
    identity = {"source": entry.source, "table_name": entry.table_name, "batch_id": entry.batch_id}
    con.execute(
        """
        delete from ingest.batch
        where source = $source and table_name = $table_name and batch_id = $batch_id and status = 'refused'
        """,
        identity,
    )
    con.execute(
        """
        insert into ingest.batch values (
            $batch_id, $source, $table_name, $status, $manifest_sha256, $window_from, $window_to, $business_day,
            $manifest_rows, $loaded_rows, $rejected_rows, $erased_rows, $superseded_rows, $unknown_columns,
            $guessed_encodings, $code, $zh, $en
        )
        """,
        {
            **identity,
            "status": entry.status,
            "manifest_sha256": entry.manifest_sha256,
            "window_from": entry.window_from,
            "window_to": entry.window_to,
            "business_day": entry.business_day,
            "manifest_rows": entry.manifest_rows,
            "loaded_rows": entry.loaded_rows,
            "rejected_rows": entry.rejected_rows,
            "erased_rows": entry.erased_rows,
            "superseded_rows": entry.superseded_rows,
            "unknown_columns": list(entry.unknown_columns),
            "guessed_encodings": list(entry.guessed_encodings),
            "code": entry.problems[0].code if entry.problems else None,
            "zh": _sentences(entry.problems, chinese=True),
            "en": _sentences(entry.problems, chinese=False),
        },
    )


def says_already(con: DuckDBPyConnection, entry: LedgerEntry) -> bool:
    """Whether the ledger holds exactly this refusal, so that writing it again would change nothing."""
    row = con.execute(
        """
        select count(*)
        from ingest.batch
        where source = $source and table_name = $table_name and batch_id = $batch_id and status = 'refused'
            and manifest_sha256 = $sha and refusal_message_en = $en and refusal_message_zh = $zh
        """,
        {
            "source": entry.source,
            "table_name": entry.table_name,
            "batch_id": entry.batch_id,
            "sha": entry.manifest_sha256,
            "en": _sentences(entry.problems, chinese=False),
            "zh": _sentences(entry.problems, chinese=True),
        },
    ).fetchone()
    return row is not None and row[0] == 1


def _sentences(problems: Sequence[Problem], *, chinese: bool) -> str | None:
    told = [f"{problem.path}: {problem.message_zh if chinese else problem.message_en}" for problem in problems]
    return "; ".join(told) or None
