"""Connections to the pipeline's working file, and the schemas that ingest writes there.

The tables of the ledger are described in `ledger`; everything behind `raw` belongs to dbt and identity.
"""

from collections.abc import Iterable
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from pipelines.ingest.contracts import Contract, load_contracts, raw_table_name, raw_type
from pipelines.ingest.normalise import quote_identifier
from pipelines.settings import PipelineSettings
from pipelines.warehouse.ledger import create_ledger
from pipelines.warehouse.segments import SEGMENT_TABLE, beaten, tail, write_raw_view
from segment_engine.runtime.folders import DataFolders


class ContractChanged(Exception):  # noqa: N818 -- says what happened
    """A contract gives a column another type than its raw table has; that needs a migration, not a night."""


def connect_warehouse(
    settings: PipelineSettings, *, read_only: bool = False, file: Path | None = None
) -> DuckDBPyConnection:
    """Open `build/warehouse.duckdb` in the tenant's zone, or `file` in its stead; the folder is created if need be.

    A read-only connection creates none. Raises duckdb.IOException when another process holds the file, or read-only
    and there is none.
    """
    folders = settings.folders
    if not read_only:
        folders.build.mkdir(parents=True, exist_ok=True)
    con = duckdb.connect(str(file or folders.warehouse), read_only=read_only)
    set_up(con, settings)
    return con


def set_up(con: DuckDBPyConnection, settings: PipelineSettings) -> None:
    """Make a connection work as the pipeline's do: in the tenant's zone, within its limits."""
    con.execute("set TimeZone = $zone", {"zone": settings.timezone})
    con.execute("set memory_limit = $limit", {"limit": settings.memory_limit})
    con.execute("set threads = $threads", {"threads": settings.threads})
    con.execute("set temp_directory = $folder", {"folder": str(settings.folders.build / "spill")})
    # Tables are sets of rows with keys; keeping the order of arrival would cost memory and parallelism. And rows: with
    # it, DuckDB 2.0 loses what a transaction inserts into a table into which it inserted nothing before.
    con.execute("set preserve_insertion_order = false")


def ensure_ingest_schema(
    con: DuckDBPyConnection, folders: DataFolders, contracts: Iterable[Contract] | None = None
) -> None:
    """Create the ledger, and what keeps and shows every raw table; a contract's new columns are null in old rows.

    Raises ContractChanged when a column has another type than before.
    """
    for schema in ("ingest", "raw", "raw_tail", "raw_beaten"):
        con.execute(f"create schema if not exists {schema}")
    create_ledger(con)
    con.execute(SEGMENT_TABLE)
    existing = _raw_columns(con)
    for contract in load_contracts().values() if contracts is None else contracts:
        table = raw_table_name(contract)
        if table in existing:
            _grow(con, contract, existing[table])
        else:
            key = ", ".join(f"{quote_identifier(name)} {raw_type(contract.column(name))}" for name in contract.key)
            con.execute(f"create table {tail(contract)} ({_column_list(contract)})")
            con.execute(f"create table {beaten(contract)} ({key}, _batch_id varchar not null)")
        # Always, since the data directory may have moved.
        write_raw_view(con, folders, contract)


def _raw_columns(con: DuckDBPyConnection) -> dict[str, dict[str, str]]:
    tables: dict[str, dict[str, str]] = {}
    rows = con.execute(
        """
        select table_name, column_name, lower(data_type)
        from duckdb_columns()
        where database_name = current_database() and schema_name = 'raw_tail'
        """
    ).fetchall()
    for table, column, data_type in rows:
        tables.setdefault(table, {})[column] = data_type
    return tables


def _grow(con: DuckDBPyConnection, contract: Contract, existing: dict[str, str]) -> None:
    table = raw_table_name(contract)
    changed = [
        f"{table}.{column.name}: {existing[column.name]} → {raw_type(column)}"
        for column in contract.columns
        if existing.get(column.name, raw_type(column)) != raw_type(column)
    ]
    if changed:
        raise ContractChanged("; ".join(changed))
    new = [column for column in contract.columns if column.name not in existing]
    if not new:
        return
    con.execute("begin")
    for column in new:
        con.execute(f"alter table {tail(contract)} add column {quote_identifier(column.name)} {raw_type(column)}")
    con.execute("commit")


def _column_list(contract: Contract) -> str:
    columns = [f"{quote_identifier(column.name)} {raw_type(column)}" for column in contract.columns]
    return ", ".join([*columns, "_batch_id varchar not null"])
