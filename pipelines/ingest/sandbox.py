"""A DuckDB connection that may read one batch folder and write the staging folder, and nothing else."""

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from duckdb.func import PythonUDFType

from pipelines.ingest.normalise import quote_literal
from pipelines.ingest.parse_messages import ParseRequest


def open_sandbox(request: ParseRequest, *, threads: int) -> duckdb.DuckDBPyConnection:
    """An in-memory connection with `nfkc`, the request's zone and memory limit; files elsewhere are out of reach.

    With one thread rows keep the order of the file, with more they do not.
    """
    con = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false", "threads": str(threads)}
    )
    con.create_function("nfkc", _nfkc, ["VARCHAR"], "VARCHAR", type=PythonUDFType.ARROW)
    folders = ", ".join(quote_literal(str(folder)) for folder in (request.file.parent, request.staged.parent))
    con.execute(f"set TimeZone = {quote_literal(request.timezone)}")
    con.execute(f"set memory_limit = {quote_literal(request.memory_limit)}")
    con.execute(f"set preserve_insertion_order = {'true' if threads == 1 else 'false'}")
    con.execute(f"set temp_directory = {quote_literal(str(request.staged.parent / 'spill'))}")
    con.execute(f"set allowed_directories = [{folders}]")
    con.execute("set enable_external_access = false")
    con.execute("set lock_configuration = true")
    return con


def _nfkc(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.utf8_normalize(texts, form="NFKC")
