"""A warehouse file without the persons of new erasure requests, made beside the old one and put in its place.

It begins with what landing cannot give back: identity's state under pseudonyms, and rows of batches that landing has no
more. The ingest after it loads everything else anew and redacts what it meets (`redact`). DuckDB keeps freed blocks, so
files that held a person are never cleaned; they are left behind as a whole.
"""

import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from duckdb import DuckDBPyConnection

from pipelines.erasure.digests import offer_digests
from pipelines.erasure.orders import ErasureRequest
from pipelines.erasure.redaction import PSEUDONYM_PREFIX, erased_keys, pseudonym, redacted
from pipelines.identity.erase import copy_state
from pipelines.identity.keys import phone_e164_sql
from pipelines.identity.state import ensure_tables
from pipelines.ingest.contracts import Contract, load_contracts, raw_table_name
from pipelines.ingest.normalise import quote_identifier, quote_literal
from pipelines.settings import PipelineSettings
from pipelines.warehouse.built import forget_built
from pipelines.warehouse.connection import connect_warehouse, ensure_ingest_schema
from pipelines.warehouse.landing import LandedBatch
from pipelines.warehouse.segments import tail
from segment_engine.runtime.durable import sync
from segment_engine.runtime.folders import DataFolders
from segment_engine.runtime.secret import tenant_secret

OLD = "before_erasure"
NEW_FILE = "erased.duckdb"
# A shorter text stands in anybody's data.
SHORTEST_TEXT = 6


@dataclass(frozen=True, slots=True)
class Found:
    """Who is erased: identity keys, customers, by request the digests that had no tombstone, texts that tell them.

    `values` are what tied their identities together and nobody else's: phones in E.164, unionids.
    """

    keys: tuple[str, ...]
    one_ids: tuple[str, ...]
    new_digests: dict[str, list[str]]
    texts: tuple[str, ...]
    values: tuple[str, ...]


@contextmanager
def new_warehouse(settings: PipelineSettings, tombstones: Collection[str]) -> Iterator[DuckDBPyConnection]:
    """An empty warehouse file with the old one attached read-only as OLD; needs the writer lock."""
    file = settings.folders.build / NEW_FILE
    with connect_warehouse(settings) as old:
        ensure_ingest_schema(old, settings.folders)
        ensure_tables(old, "identity")
        old.execute("checkpoint")
    _remove_database(settings.folders, NEW_FILE)
    with connect_warehouse(settings, file=file) as con:
        con.execute(f"attach {quote_literal(str(settings.folders.warehouse))} as {OLD} (read_only)")
        offer_digests(con, tenant_secret(settings), persons=tombstones)
        ensure_ingest_schema(con, settings.folders)
        yield con
        con.execute(f"detach {OLD}")
        con.execute("checkpoint")
    sync(file)


def find_erased(con: DuckDBPyConnection, requests: Sequence[ErasureRequest]) -> Found:
    """Name the erased identities and their texts in temporary tables: `erased_key` (key, pseudonym), `erased_text`."""
    by_one_id = {request.one_id: request.request_id for request in requests if request.one_id}
    # Identity may have merged the customer since what is served was built: then all of whom they became are meant.
    con.execute(
        f"""
        create or replace temp table erased_one_id as
        with recursive meant (one_id, asked) as (
            select unnest($one_ids::varchar[]), unnest($one_ids::varchar[])
            union
            select registry.merged_into, meant.asked
            from {OLD}.identity.registry as registry
            inner join meant on registry.one_id = meant.one_id
            where registry.merged_into is not null
        )
        select one_id, min(asked) as asked from meant group by one_id
        """,
        {"one_ids": list(by_one_id)},
    )
    con.execute(
        f"""
        create or replace temp table erased_identity as
        select key, one_id, digest
        from (select key, one_id, person_digest(key) as digest from {OLD}.identity.assignment)
        where
            not contains(key, ':{PSEUDONYM_PREFIX}')
            and (digest in (from erased_person) or one_id in (select one_id from erased_one_id))
        """
    )
    con.execute(
        f"""
        create or replace temp table erased_key as
        select key, regexp_extract(key, '^[^:]*:[^:]*:') || {pseudonym("digest")} as pseudonym from erased_identity
        """
    )
    unknown = con.execute(
        """
        select asked, digest
        from erased_identity anti join erased_person using (digest) inner join erased_one_id using (one_id)
        order by all
        """
    ).fetchall()
    new: dict[str, list[str]] = {}
    for asked, digest in unknown:
        new.setdefault(by_one_id[asked], []).append(digest)
    con.execute("insert into erased_person select unnest($digests::varchar[])", {"digests": [d for _, d in unknown]})
    _collect_texts(con)
    return Found(
        keys=_texts(con, "select key from erased_key order by all"),
        one_ids=_texts(con, "select one_id from erased_one_id order by all"),
        new_digests=new,
        texts=_texts(con, f"select text from erased_text where length(text) >= {SHORTEST_TEXT:d} order by all"),
        values=_own_values(con),
    )


def carry_over(con: DuckDBPyConnection, requests: Sequence[ErasureRequest], landed: Sequence[LandedBatch]) -> None:
    """Fill the new file with what landing cannot give back, and note the requests; needs `find_erased`."""
    copy_state(con, f"{OLD}.identity", _texts(con, "select one_id from erased_one_id order by all"))
    there = {(*batch.identity, batch.manifest_sha256) for batch in landed if _is_whole(batch)}
    for *identity, sha256 in con.execute(
        f"select source, table_name, batch_id, manifest_sha256 from {OLD}.ingest.batch where status = 'loaded'"
    ).fetchall():
        if (*identity, sha256) not in there:
            _keep_batch(con, *identity)
    con.execute(f"insert into ingest.erasure from {OLD}.ingest.erasure")
    con.execute(
        "insert into ingest.erasure select request_id, false from (select unnest($ids::varchar[]) as request_id)"
        " anti join ingest.erasure using (request_id)",
        {"ids": [request.request_id for request in requests]},
    )
    con.execute(f"insert into ingest.erased_value from {OLD}.ingest.erased_value")
    con.execute(
        "insert into ingest.erased_value select value_digest(text) from erased_text where length(text) >= $least"
        " except from ingest.erased_value",
        {"least": SHORTEST_TEXT},
    )


def refused_batches(con: DuckDBPyConnection, landed: Sequence[LandedBatch]) -> list[LandedBatch]:
    """The batches that were refused as they lie in landing, of tables that may tell of persons."""
    refused = set(
        con.execute(
            f"select source, table_name, batch_id, manifest_sha256 from {OLD}.ingest.batch where status = 'refused'"
        ).fetchall()
    )
    contracts = load_contracts()
    return [
        batch
        for batch in landed
        if (*batch.identity, batch.manifest_sha256) in refused
        and ((batch.source, batch.table) not in contracts or contracts[batch.source, batch.table].persons)
    ]


def swap(folders: DataFolders) -> None:
    """Put the new warehouse file in the old one's place, and remove everything that was made from the old.

    What is removed first is made anew by the night, whichever file it finds; segments are the old file's until the end.
    """
    forget_built(folders)
    folders.ledger_snapshot.unlink(missing_ok=True)
    _remove_database(folders, folders.marts.name)
    for folder in (
        folders.quarantine,
        folders.staged,
        *(folders.build / name for name in ("spill", "tmp", "dbt_logs")),
    ):
        shutil.rmtree(folder, ignore_errors=True)
    _forget_dbt_runs(folders.build / "dbt_target")
    (folders.build / NEW_FILE).replace(folders.warehouse)
    # Were the rename lost in a power cut, the old file would look for its segments.
    sync(folders.build)
    shutil.rmtree(folders.build / "raw", ignore_errors=True)


def _collect_texts(con: DuckDBPyConnection) -> None:
    """The texts that tell an erased person from others: numbers and accounts, never names."""
    con.execute(
        """
        create or replace temp table erased_text as
        select regexp_replace(key, '^[^:]*:[^:]*:', '') as text from erased_key
        """
    )
    for contract in load_contracts().values():
        telling = [
            quote_identifier(column.name)
            for column in contract.columns
            if column.type == "text" and (column.identifies or column.pii in {"phone", "id_number"})
        ]
        for person in contract.subjects if telling else ():
            rows = f"{OLD}.raw.{quote_identifier(raw_table_name(contract))}"
            columns = ", ".join(quote_identifier(name) for name in person.columns)
            con.execute(
                f"insert into erased_text select unnest([{', '.join(telling)}]) from {rows}"
                f" semi join ({erased_keys(person, rows)}) using ({columns})"
            )
    if _has_evidence(con):
        con.execute(
            f"insert into erased_text select value from {OLD}.intermediate.int_identity_evidence"
            " semi join erased_key using (key) where value_type <> 'binding'"
        )
    con.execute("create or replace temp table erased_text as select distinct text from erased_text where text <> ''")


def _own_values(con: DuckDBPyConnection) -> tuple[str, ...]:
    """The erased persons' values that none of the living carries: a number that a family shares is theirs too."""
    theirs = f"select text from erased_text union select {phone_e164_sql('text')} from erased_text"
    living = f"select value from {OLD}.intermediate.int_identity_evidence anti join erased_key using (key)"
    own = f"{theirs} except {living}" if _has_evidence(con) else theirs
    return _texts(con, f"select text from ({own}) where text is not null order by all")


def _has_evidence(con: DuckDBPyConnection) -> bool:
    """False in a file whose first night never got as far."""
    found = con.execute(
        "select 1 from duckdb_tables() where database_name = $database and table_name = 'int_identity_evidence'",
        {"database": OLD},
    ).fetchone()
    return found is not None


def _keep_batch(con: DuckDBPyConnection, source: str, table: str, batch_id: str) -> None:
    """Carry over a batch that cannot be replayed: its ledger entry, and the rows of it that still stand."""
    named = {"source": source, "table": table, "batch": batch_id}
    one = "where source = $source and table_name = $table and batch_id = $batch"
    contract = load_contracts().get((source, table))
    gone = _keep_rows(con, contract, batch_id) if contract is not None else 0
    con.execute(
        f"""
        insert into ingest.batch by name
        select * replace (
            loaded_rows - $gone as loaded_rows,
            erased_rows + $gone as erased_rows,
            least(superseded_rows, loaded_rows - $gone) as superseded_rows
        )
        from {OLD}.ingest.batch {one} and status = 'loaded'
        """,
        {**named, "gone": gone},
    )
    con.execute(
        f"insert into ingest.rejection by name select * replace (null as sample) from {OLD}.ingest.rejection {one}",
        named,
    )


def _keep_rows(con: DuckDBPyConnection, contract: Contract, batch_id: str) -> int:
    """Insert the batch's rows as they may be kept; how many may not."""
    rows = (
        f"(select * from {OLD}.raw.{quote_identifier(raw_table_name(contract))}"
        f" where _batch_id = {quote_literal(batch_id)})"
    )
    kept = redacted(contract, rows, columns=[column.name for column in contract.columns], more=("_batch_id",))
    return _count(con, f"select count(*) from {rows}") - _count(con, f"insert into {tail(contract)} by name {kept}")


def _is_whole(batch: LandedBatch) -> bool:
    """Whether the files that the manifest lists lie there, as far as their sizes tell."""
    return (
        batch.manifest is not None
        and not batch.problems
        and all(
            (batch.folder / file.name).is_file() and (batch.folder / file.name).stat().st_size == file.bytes
            for file in batch.manifest.files
        )
    )


def _count(con: DuckDBPyConnection, statement: str) -> int:
    """The number that a statement answers: a count, or how many rows it inserted."""
    row = con.execute(statement).fetchone()
    assert row is not None
    return int(row[0])


def _texts(con: DuckDBPyConnection, query: str) -> tuple[str, ...]:
    """The texts of a query's only column."""
    return tuple(text for (text,) in con.execute(query).fetchall())


def _forget_dbt_runs(target: Path) -> None:
    """Remove dbt's logs and results, whose errors may quote values; the parsed project stays, publishing reads it."""
    (target / "run_results.json").unlink(missing_ok=True)
    for folder in target.glob("*/"):
        shutil.rmtree(folder, ignore_errors=True)


def _remove_database(folders: DataFolders, name: str) -> None:
    for suffix in ("", ".wal"):
        (folders.build / f"{name}{suffix}").unlink(missing_ok=True)
