"""Looking for texts in every file below a folder: as bytes, and in whatever the file stores compressed."""

import re
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

ENCODINGS = ("utf-8", "utf-16-le", "gb18030")


def found_in(root: Path, texts: Collection[str]) -> dict[str, set[str]]:
    """Which of the texts stand in which file, by its path below the root; files with none are left out."""
    spelt = {text.encode(encoding): text for text in texts for encoding in ENCODINGS}
    # The longest first: a text may begin with another.
    pattern = re.compile(b"|".join(re.escape(text) for text in sorted(spelt, key=len, reverse=True)))
    found: dict[str, set[str]] = {}
    for file in sorted(path for path in root.rglob("*") if path.is_file()):
        hits = {spelt[hit] for content in _contents(file) for hit in pattern.findall(content)}
        if hits:
            found[str(file.relative_to(root))] = hits
    return found


def _contents(file: Path) -> Iterator[bytes]:
    yield file.read_bytes()
    if file.suffix == ".parquet":
        yield repr(pq.read_table(file).to_pylist()).encode()
    elif file.suffix == ".xlsx":
        with zipfile.ZipFile(file) as parts:
            yield from (parts.read(name) for name in parts.namelist())
    elif file.suffix == ".duckdb":
        yield from _tables(file)


def _tables(file: Path) -> Iterator[bytes]:
    with duckdb.connect(str(file), read_only=True) as con:
        for schema, table in con.execute("select schema_name, table_name from duckdb_tables()").fetchall():
            yield repr(con.execute(f'from "{schema}"."{table}"').fetchall()).encode()
        yield repr(con.execute("select sql from duckdb_views()").fetchall()).encode()
