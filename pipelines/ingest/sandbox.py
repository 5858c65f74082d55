"""DuckDB connections that may read the landing folder and write the staging folder, and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from duckdb.func import PythonUDFType

from pipelines.ingest.normalise import MACROS, quote_literal
from pipelines.ingest.parse_messages import ParseRequest, SandboxRules


def open_sandbox(rules: SandboxRules, *, threads: int) -> duckdb.DuckDBPyConnection:
    """An in-memory connection with what `normalise` needs, the tenant's zone and a memory limit.

    With one thread rows keep the order of the file, with more they do not.
    """
    con = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false", "threads": str(threads)}
    )
    con.create_function("nfkc", _nfkc, ["VARCHAR"], "VARCHAR", type=PythonUDFType.ARROW)
    folders = ", ".join(quote_literal(str(folder)) for folder in (rules.readable, rules.writable))
    con.execute(f"set TimeZone = {quote_literal(rules.timezone)}")
    con.execute(f"set memory_limit = {quote_literal(rules.memory_limit)}")
    con.execute(f"set preserve_insertion_order = {'true' if threads == 1 else 'false'}")
    con.execute(f"set temp_directory = {quote_literal(str(rules.writable / 'spill'))}")
    con.execute(f"set allowed_directories = [{folders}]")
    con.execute("set enable_external_access = false")
    con.execute("set lock_configuration = true")
    for macro in MACROS:
        con.execute(macro)
    return con


class Sandboxes:
    """Sandboxes kept from file to file, one per number of threads: opening one costs more than a small file."""

    def __init__(self) -> None:
        self._rules: SandboxRules | None = None
        self._open: dict[int, duckdb.DuckDBPyConnection] = {}

    @contextmanager
    def shared(self, request: ParseRequest, *, threads: int) -> Iterator[duckdb.DuckDBPyConnection]:
        """A kept sandbox for work that leaves no table behind; one in which anything failed is not used again."""
        if request.rules != self._rules:
            self.close()
            self._rules = request.rules
        con = self._open.pop(threads, None) or open_sandbox(request.rules, threads=threads)
        try:
            yield con
        except BaseException:
            con.close()
            raise
        self._open[threads] = con

    def close(self) -> None:
        """Close every kept sandbox."""
        while self._open:
            self._open.popitem()[1].close()


def _nfkc(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.utf8_normalize(texts, form="NFKC")
