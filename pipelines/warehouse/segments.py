"""How the rows of a raw table are kept: large batches as the Parquet files they were staged to, small ones in a tail.

`raw.<table>` is a view over `raw_tail.<table>` and the table's segments (the files of its large batches), without the
rows of segments that later batches beat (`raw_beaten.<table>`: key and batch). A segment is never changed: copying
millions of rows into a table once more would cost as much as parsing them. Which row wins is decided in `winners`.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from duckdb import DuckDBPyConnection

from pipelines.ingest.contracts import Contract, raw_table_name, raw_type
from pipelines.ingest.normalise import quote_identifier, quote_literal
from pipelines.ingest.staging import PARQUET_OPTIONS
from segment_engine.runtime.durable import sync
from segment_engine.runtime.folders import DataFolders

# A batch of fewer rows is cheaper in the tail: a file of its own would be opened by every query for good.
SEGMENT_ROWS = 200_000
# A segment of which more than this share was beaten is written anew without those rows.
BEATEN_SHARE = 0.5
SEGMENT_TABLE = """
    create table if not exists ingest.segment (
        source varchar not null,
        table_name varchar not null,
        batch_id varchar not null,
        file varchar not null,
        columns varchar[] not null,
        rows bigint not null
    )
"""


def tail(contract: Contract) -> str:
    """The table with the rows of small batches, as a SQL identifier."""
    return f"raw_tail.{quote_identifier(raw_table_name(contract))}"


def beaten(contract: Contract) -> str:
    """The table with the keys of beaten rows in segments and the batch of each, as a SQL identifier."""
    return f"raw_beaten.{quote_identifier(raw_table_name(contract))}"


def adopt(
    con: DuckDBPyConnection, folders: DataFolders, contract: Contract, *, batch_id: str, files: Sequence[Path]
) -> None:
    """Make a batch's staged files its segment; inside the caller's transaction, the files are durable before it ends.

    The files have the contract's columns, `_batch_id` and `_bad`, and lie in one folder, which moves as a whole.
    """
    folder = _folder(folders, contract) / batch_id
    _move_durably(files, folder)
    _register(con, folders, contract, batch_id=batch_id, files=[folder / file.name for file in files])


def write_raw_view(con: DuckDBPyConnection, folders: DataFolders, contract: Contract) -> None:
    """Say what `raw.<table>` consists of now; needed after every change of segments or first beaten rows."""
    wanted = [column.name for column in contract.columns]
    parts = [f"select {_names([*wanted, '_batch_id'])} from {tail(contract)}"]
    # One scan for each set of columns that the contract had over time.
    for columns, files in con.execute(
        """
        select columns, list(file order by file)
        from ingest.segment
        where source = $source and table_name = $table
        group by columns
        """,
        _named(contract),
    ).fetchall():
        paths = ", ".join(quote_literal(str(folders.build.resolve() / file)) for file in files)
        values = ", ".join(
            quote_identifier(column.name)
            if column.name in columns
            else f"cast(null as {raw_type(column)}) as {quote_identifier(column.name)}"
            for column in contract.columns
        )
        part = f"select {values}, _batch_id from read_parquet([{paths}]) where not _bad"
        if _scalar(con, f"select count(*) from (from {beaten(contract)} limit 1)"):
            part = f"from ({part}) anti join {beaten(contract)} using ({_names([*contract.key, '_batch_id'])})"
        parts.append(part)
    con.execute(
        f"create or replace view raw.{quote_identifier(raw_table_name(contract))} as {' union all '.join(parts)}"
    )


def compact(con: DuckDBPyConnection, folders: DataFolders, contract: Contract) -> None:
    """Write the table's mostly beaten segments anew without their beaten rows; in transactions of its own."""
    if not _scalar(con, f"select count(*) from (from {beaten(contract)} limit 1)"):
        return
    for batch_id, rows, lost in con.execute(
        f"""
        select batch_id, sum(rows)::bigint, (select count(*) from {beaten(contract)} where _batch_id = batch_id)
        from ingest.segment
        where source = $source and table_name = $table
        group by batch_id
        order by batch_id
        """,
        _named(contract),
    ).fetchall():
        if lost > BEATEN_SHARE * rows:
            _rewrite(con, folders, contract, batch_id)


def remove_orphans(con: DuckDBPyConnection, folders: DataFolders) -> None:
    """Remove segment folders that the warehouse does not know: of killed runs, rollbacks and rewritten segments."""
    known = {
        (folders.build / file).parent for (file,) in con.execute("select distinct file from ingest.segment").fetchall()
    }
    for folder in (folders.build / "raw").glob("*/*"):
        if folder not in known:
            shutil.rmtree(folder, ignore_errors=True)


def _rewrite(con: DuckDBPyConnection, folders: DataFolders, contract: Contract, batch_id: str) -> None:
    raw = f"raw.{quote_identifier(raw_table_name(contract))}"
    staged = folders.staged / "rewritten.parquet"
    staged.parent.mkdir(parents=True, exist_ok=True)
    con.execute(
        f"copy (select *, false as _bad from {raw} where _batch_id = {quote_literal(batch_id)})"
        f" to {quote_literal(str(staged))} ({PARQUET_OPTIONS})"
    )
    number = len(list(_folder(folders, contract).glob(f"{batch_id}~*"))) + 1
    folder = _folder(folders, contract) / f"{batch_id}~{number}"
    _move_durably([staged], folder)
    con.execute("begin")
    try:
        con.execute(
            "delete from ingest.segment where source = $source and table_name = $table and batch_id = $batch_id",
            {**_named(contract), "batch_id": batch_id},
        )
        con.execute(f"delete from {beaten(contract)} where _batch_id = $batch_id", {"batch_id": batch_id})
        # Small now, but a segment all the same: the rows that beat the others know it as one.
        _register(con, folders, contract, batch_id=batch_id, files=[folder / staged.name])
        write_raw_view(con, folders, contract)
    except BaseException:
        con.execute("rollback")
        raise
    con.execute("commit")
    remove_orphans(con, folders)


def _move_durably(files: Sequence[Path], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in files:
        sync(file)
        file.replace(folder / file.name)
    for directory in (folder, folder.parent):
        sync(directory)


def _register(
    con: DuckDBPyConnection, folders: DataFolders, contract: Contract, *, batch_id: str, files: Sequence[Path]
) -> None:
    listed = ", ".join(quote_literal(str(file.resolve())) for file in files)
    con.execute(
        f"""
        insert into ingest.segment
        select $source, $table, $batch_id, substr(filename, $root), $columns, count(*)
        from read_parquet([{listed}], filename = true)
        where not _bad
        group by filename
        """,
        {
            **_named(contract),
            "batch_id": batch_id,
            "root": len(str(folders.build.resolve())) + 2,
            "columns": [column.name for column in contract.columns],
        },
    )


def _folder(folders: DataFolders, contract: Contract) -> Path:
    return folders.build / "raw" / raw_table_name(contract)


def _named(contract: Contract) -> dict[str, str]:
    return {"source": contract.source, "table": contract.table}


def _names(names: Sequence[str]) -> str:
    return ", ".join(quote_identifier(name) for name in names)


def _scalar(con: DuckDBPyConnection, query: str) -> int:
    row = con.execute(query).fetchone()
    assert row is not None
    return int(row[0])
