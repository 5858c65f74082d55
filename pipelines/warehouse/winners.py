"""One row per key in the raw tables: which row wins, and putting a batch's winners in place.

The winner of a key has the largest (version, window end, batch id, file, line); null is the smallest version. So the
order in which batches arrive makes no difference. Everything here runs inside the caller's transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from duckdb import DuckDBPyConnection

from pipelines.ingest.contracts import Contract, raw_table_name
from pipelines.ingest.normalise import quote_identifier


@dataclass(frozen=True, slots=True)
class StagedBatch:
    """A parsed batch, ready to load: staged Parquet files in the order of their names, all rows counted."""

    contract: Contract
    batch_id: str
    window_end: datetime
    files: tuple[Path, ...]
    good_rows: int


def has_repeated_keys(con: DuckDBPyConnection, batch: StagedBatch) -> bool:
    """Whether two good rows of the batch have the same key."""
    if batch.good_rows < 2:
        return False
    keys = _names(batch.contract.key)
    # Distinct hashes prove distinct keys at a third of the price; equal hashes prove nothing and are looked at.
    distinct = _scalar(con, f"select count(distinct hash({keys})) from {_staged(batch)}", batch)
    if distinct == batch.good_rows:
        return False
    repeated = f"select count(*) from (select 1 from {_staged(batch)} group by {keys} having count(*) > 1)"
    return _scalar(con, repeated, batch) > 0


def load_rows(con: DuckDBPyConnection, batch: StagedBatch, *, repeated_keys: bool) -> int:
    """Put the batch's winning rows into its raw table, remove the rows they beat, and note those in the ledger.

    Returns how many of the batch's good rows lost on arrival. With `repeated_keys` the staged files are numbered.
    """
    if not repeated_keys and not _meets_known_keys(con, batch):
        _insert(con, batch, _staged(batch), _staged_parameters(batch))
        return 0
    _create_incoming(con, batch)
    _create_contested(con, batch)
    keys = batch.contract.key
    con.execute(f"delete from {_raw(batch)} as old using contested as new where new.wins and {_same_key(keys)}")
    _note_beaten_rows(con, batch)
    _insert(con, batch, f"(from incoming anti join (from contested where not wins) using ({_names(keys)}))", {})
    lost = batch.good_rows - _scalar(con, "select count(*) from incoming", None)
    lost += _scalar(con, "select count(*) from contested where not wins", None)
    con.execute("drop table contested")
    con.execute("drop table incoming")
    return lost


def _meets_known_keys(con: DuckDBPyConnection, batch: StagedBatch) -> bool:
    if not _scalar(con, f"select count(*) from (from {_raw(batch)} limit 1)", None):
        return False
    keys = _names(batch.contract.key)
    query = f"select count(*) from (from {_raw(batch)} semi join {_staged(batch)} using ({keys}) limit 1)"
    return _scalar(con, query, batch) > 0


def _create_incoming(con: DuckDBPyConnection, batch: StagedBatch) -> None:
    contract = batch.contract
    version = f"{quote_identifier(contract.version)} desc nulls last, " if contract.version else ""
    con.execute(
        f"""
        create or replace temp table incoming as
        select * exclude (_bad)
        from {_staged(batch)}
        qualify row_number() over (
            partition by {_names(contract.key)}
            order by {version}_file desc, _row desc
        ) = 1
        """,
        _staged_parameters(batch),
    )


def _create_contested(con: DuckDBPyConnection, batch: StagedBatch) -> None:
    """The keys of `incoming` that the raw table has too: whose row is there, and whether the new row wins."""
    contract = batch.contract
    by_version = ""
    if contract.version:
        old, new = f"old.{quote_identifier(contract.version)}", f"new.{quote_identifier(contract.version)}"
        by_version = f"when {new} is distinct from {old} then coalesce({new} > {old}, {old} is null)"
    con.execute(
        f"""
        create or replace temp table contested as
        select
            {", ".join(f"new.{quote_identifier(name)}" for name in contract.key)},
            old._batch_id as old_batch_id,
            case
                {by_version}
                when $window_end <> old_batch.window_to then $window_end > old_batch.window_to
                else $batch_id > old._batch_id
            end as wins
        from incoming as new
        join {_raw(batch)} as old on {_same_key(contract.key)}
        join ingest.batch as old_batch
            on old_batch.source = $source
            and old_batch.table_name = $table
            and old_batch.batch_id = old._batch_id
            and old_batch.status = 'loaded'
        """,
        {
            "window_end": batch.window_end,
            "batch_id": batch.batch_id,
            "source": contract.source,
            "table": contract.table,
        },
    )


def _note_beaten_rows(con: DuckDBPyConnection, batch: StagedBatch) -> None:
    con.execute(
        """
        update ingest.batch as beaten
        set superseded_rows = superseded_rows + lost.rows
        from (select old_batch_id, count(*) as rows from contested where wins group by old_batch_id) as lost
        where beaten.source = $source
            and beaten.table_name = $table
            and beaten.batch_id = lost.old_batch_id
            and beaten.status = 'loaded'
        """,
        {"source": batch.contract.source, "table": batch.contract.table},
    )


def _insert(con: DuckDBPyConnection, batch: StagedBatch, relation: str, parameters: dict[str, str]) -> None:
    columns = _names([column.name for column in batch.contract.columns])
    con.execute(
        f"insert into {_raw(batch)} ({columns}, _batch_id) select {columns}, $batch_id from {relation}",
        {"batch_id": batch.batch_id, **parameters},
    )


def _staged(batch: StagedBatch) -> str:
    """The good rows of all staged files as one relation, with `_file`, the file's place in the order of names."""
    files = (
        f"select *, {place} as _file from read_parquet($file_{place}) where not _bad"
        for place in range(len(batch.files))
    )
    return f"({' union all '.join(files)})"


def _staged_parameters(batch: StagedBatch) -> dict[str, str]:
    return {f"file_{place}": str(file) for place, file in enumerate(batch.files)}


def _raw(batch: StagedBatch) -> str:
    return f"raw.{quote_identifier(raw_table_name(batch.contract))}"


def _names(names: Sequence[str]) -> str:
    return ", ".join(quote_identifier(name) for name in names)


def _same_key(keys: Sequence[str]) -> str:
    return " and ".join(f"old.{quote_identifier(name)} = new.{quote_identifier(name)}" for name in keys)


def _scalar(con: DuckDBPyConnection, query: str, batch: StagedBatch | None) -> int:
    row = con.execute(query, _staged_parameters(batch) if batch else {}).fetchone()
    assert row is not None
    return int(row[0])
