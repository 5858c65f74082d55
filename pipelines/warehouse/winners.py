"""One row per key in the raw tables: which row wins, and putting a batch's winners in place.

The winner of a key has the largest (version, window end, batch id, file, line); null is the smallest version. So the
order in which batches arrive makes no difference. Everything here runs inside the caller's transaction. Where rows are
kept is told by `segments`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from duckdb import DuckDBPyConnection

from pipelines.ingest.contracts import Contract, raw_table_name
from pipelines.ingest.normalise import quote_identifier, quote_literal
from pipelines.ingest.staging import PARQUET_OPTIONS
from pipelines.warehouse import segments
from segment_engine.runtime.folders import DataFolders


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
    distinct = _scalar(con, f"select count(distinct hash({keys})) from {_staged(batch)}")
    if distinct == batch.good_rows:
        return False
    return (
        _scalar(con, f"select count(*) from (select 1 from {_staged(batch)} group by {keys} having count(*) > 1)") > 0
    )


def load_rows(con: DuckDBPyConnection, folders: DataFolders, batch: StagedBatch, *, repeated_keys: bool) -> int:
    """Put the batch's winning rows into its raw table, remove the rows they beat, and note those in the ledger.

    Returns how many of the batch's good rows lost on arrival. With `repeated_keys` the staged files are numbered.
    """
    single = _without_repeats(con, batch) if repeated_keys else batch
    contested = _meets_known_keys(con, single)
    beaten, lost = False, 0
    if contested:
        _create_contested(con, single)
        beaten = _remove_beaten_rows(con, single)
        _note_beaten_rows(con, single)
        lost = _scalar(con, "select count(*) from contested where not wins")
    if single.good_rows < segments.SEGMENT_ROWS:
        _insert(con, single, contested=contested)
    else:
        _adopt(con, folders, single, contested=contested)
    if beaten or single.good_rows >= segments.SEGMENT_ROWS:
        segments.write_raw_view(con, folders, batch.contract)
    if contested:
        con.execute("drop table contested")
    return batch.good_rows - single.good_rows + lost


def _without_repeats(con: DuckDBPyConnection, batch: StagedBatch) -> StagedBatch:
    """The batch with the winner of each of its keys alone, staged anew."""
    contract = batch.contract
    version = f"{quote_identifier(contract.version)} desc nulls last, " if contract.version else ""
    files = " union all ".join(
        f"select *, {place} as _file from {_parquet([file])} where not _bad" for place, file in enumerate(batch.files)
    )
    staged = batch.files[0].with_name("single.parquet")
    con.execute(
        f"""
        copy (
            select * exclude (_file)
            from ({files})
            qualify row_number() over (
                partition by {_names(contract.key)}
                order by {version}_file desc, _row desc
            ) = 1
        ) to {quote_literal(str(staged))} ({PARQUET_OPTIONS})
        """
    )
    single = replace(batch, files=(staged,))
    return replace(single, good_rows=_scalar(con, f"select count(*) from {_staged(single)}"))


def _meets_known_keys(con: DuckDBPyConnection, batch: StagedBatch) -> bool:
    if not batch.good_rows or not _scalar(con, f"select count(*) from (from {_raw(batch)} limit 1)"):
        return False
    keys = _names(batch.contract.key)
    return (
        _scalar(con, f"select count(*) from (from {_raw(batch)} semi join {_staged(batch)} using ({keys}) limit 1)") > 0
    )


def _create_contested(con: DuckDBPyConnection, batch: StagedBatch) -> None:
    """The keys of the batch that the raw table has too: whose row is there, and whether the new row wins."""
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
        from {_staged(batch)} as new
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


def _remove_beaten_rows(con: DuckDBPyConnection, batch: StagedBatch) -> bool:
    """Remove the losers from the tail, and name those of segments; whether there were any of the latter."""
    contract = batch.contract
    same = _same_key(contract.key)
    con.execute(f"delete from {segments.tail(contract)} as old using contested as new where new.wins and {same}")
    row = con.execute(
        f"""
        insert into {segments.beaten(contract)}
        select {_names(contract.key)}, old_batch_id
        from contested
        where wins and old_batch_id in (
            select batch_id from ingest.segment where source = $source and table_name = $table
        )
        """,
        {"source": contract.source, "table": contract.table},
    ).fetchone()
    assert row is not None
    return int(row[0]) > 0


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


def _insert(con: DuckDBPyConnection, batch: StagedBatch, *, contested: bool) -> None:
    columns = _names([*(column.name for column in batch.contract.columns), "_batch_id"])
    winners = _staged(batch)
    if contested:
        winners += f" anti join (from contested where not wins) using ({_names(batch.contract.key)})"
    con.execute(f"insert into {segments.tail(batch.contract)} ({columns}) select {columns} from {winners}")


def _adopt(con: DuckDBPyConnection, folders: DataFolders, batch: StagedBatch, *, contested: bool) -> None:
    contract = batch.contract
    segments.adopt(con, folders, contract, batch_id=batch.batch_id, files=batch.files)
    if contested:
        con.execute(
            f"insert into {segments.beaten(contract)}"
            f" select {_names(contract.key)}, $batch_id from contested where not wins",
            {"batch_id": batch.batch_id},
        )


def _staged(batch: StagedBatch) -> str:
    """The good rows of all staged files as one relation."""
    return f"(from {_parquet(batch.files)} where not _bad)"


def _parquet(files: Sequence[Path]) -> str:
    return f"read_parquet([{', '.join(quote_literal(str(file)) for file in files)}])"


def _raw(batch: StagedBatch) -> str:
    return f"raw.{quote_identifier(raw_table_name(batch.contract))}"


def _names(names: Sequence[str]) -> str:
    return ", ".join(quote_identifier(name) for name in names)


def _same_key(keys: Sequence[str]) -> str:
    return " and ".join(f"old.{quote_identifier(name)} = new.{quote_identifier(name)}" for name in keys)


def _scalar(con: DuckDBPyConnection, query: str) -> int:
    row = con.execute(query).fetchone()
    assert row is not None
    return int(row[0])
