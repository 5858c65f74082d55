"""Taking erased persons out of a landed batch: its files become Parquet, values spelt as they were, sealed anew.

Whoever replays landing afterwards meets the batch without them. Which rows go and which stay under a pseudonym is
decided in `pipelines.erasure.redaction`; recognising persons in `pipelines.erasure.digests`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import duckdb

from pipelines.erasure.digests import offer_digests
from pipelines.erasure.redaction import SCOPES, SINGLE_KINDS, erased_keys, redacted
from pipelines.ingest.contracts import Contract, load_contracts
from pipelines.ingest.normalise import quote_identifier, quote_literal
from pipelines.ingest.staging import PARQUET_OPTIONS
from pipelines.settings import PipelineSettings
from pipelines.warehouse.landing import LandedBatch, describe_file, read_batch, remove_unlisted, write_manifest
from segment_engine.runtime.durable import sync
from segment_engine.runtime.secret import tenant_secret

TYPED = "_typed_"


@dataclass(frozen=True, slots=True)
class SpelledFile:
    """A parsed file's rows twice, told by `_row`: in raw types with their verdict, and as the file spells them."""

    staged: Path
    spelled: Path


class Redactor:
    """Knows everybody who was erased; a context manager, usable from several threads."""

    def __init__(self, settings: PipelineSettings, persons: Collection[str], values: Collection[str] = ()) -> None:
        self._con = duckdb.connect(config={"threads": str(settings.threads)})
        self._con.execute("set TimeZone = $zone", {"zone": settings.timezone})
        self._con.execute("set memory_limit = $limit", {"limit": settings.memory_limit})
        self._con.execute("set temp_directory = $folder", {"folder": str(settings.folders.staged.resolve() / "spill")})
        self._secret, self._persons, self._values = tenant_secret(settings), persons, values

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._con.close()

    def touches(self, contract: Contract, staged: Sequence[Path], rejects: Sequence[Path]) -> bool:
        """Whether any row names somebody erased, or a refused row's text holds what identified them."""
        if not contract.persons:
            return False
        with self._cursor() as con:
            rows = _parquet(staged)
            if any(_exists(con, erased_keys(person, rows)) for person in contract.persons):
                return True
            refused = f"(select row as text, hash(row) as place from {_parquet(rejects)})"
            return bool(rejects) and _exists(con, _betrayed(contract, refused))

    def redact(self, batch: LandedBatch, files: Sequence[SpelledFile]) -> LandedBatch:
        """Replace the batch's files and manifest; the batch as it lies there then.

        Records whose structure is broken do not come along: nobody can tell whose they were. A crash leaves either
        manifest in place; a new one beside old files is told by itself, so `remove_unlisted` finishes the work.
        """
        manifest, contract = batch.manifest, load_contracts()[batch.source, batch.table]
        assert manifest is not None
        names = {file.name for file in manifest.files}
        round_no = next(n for n in range(1, len(names) + 2) if f"redacted-{n}-0001.parquet" not in names)
        # In the order of the files: among rows of one key the last of the last file wins.
        targets = [batch.folder / f"redacted-{round_no}-{place:04}.parquet" for place in range(1, len(files) + 1)]
        with self._cursor() as con:
            counts = [_write(con, contract, file, target) for file, target in zip(files, targets, strict=True)]
        entries = [
            describe_file(target, form="parquet", row_count=rows) for target, rows in zip(targets, counts, strict=True)
        ]
        gone = (manifest.erased_rows or 0) + manifest.row_count - sum(counts)
        kept = replace(manifest, files=tuple(entries), row_count=sum(counts), erased_rows=gone)
        write_manifest(batch.folder, kept)
        redacted_batch = read_batch(batch.folder)
        remove_unlisted(redacted_batch)
        return redacted_batch

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        con = self._con.cursor()
        offer_digests(con, self._secret, persons=self._persons, values=self._values)
        return con


def _write(con: duckdb.DuckDBPyConnection, contract: Contract, file: SpelledFile, target: Path) -> int:
    """Write what may be kept of one file; the rows that are left."""
    keys = dict.fromkeys(name for person in contract.persons for name in person.columns)
    typed = "".join(f", staged.{quote_identifier(n)} as {quote_identifier(TYPED + n)}" for n in keys)
    con.execute(
        f"create or replace temp table given as select spelled.*, staged._bad{typed}"
        f" from {_parquet([file.spelled])} as spelled join {_parquet([file.staged])} as staged using (_row)"
    )
    there = {name for (name, *_) in con.execute("describe given").fetchall()}
    columns = [column.name for column in contract.columns if column.name in there]
    values = ", ".join(f"{quote_identifier(name)}::varchar" for name in columns)
    refused = f"(select concat_ws(' ', {values}) as text, _row as place from given where _bad)"
    con.execute(f"delete from given where _bad and _row in ({_betrayed(contract, refused)})")
    kept = redacted(
        contract, "given", columns=columns, more=("_row",), typed=lambda name: TYPED + name, refused="source._bad"
    )
    con.execute(
        f"copy (select * exclude (_row) from ({kept}) order by _row) to {quote_literal(str(target))}"
        f" ({PARQUET_OPTIONS})"
    )
    con.execute("drop table given")
    sync(target)
    return int(con.sql(f"select count(*) from {_parquet([target])}").fetchall()[0][0])


def _betrayed(contract: Contract, texts: str) -> str:
    """The places of texts (text, place) that hold, as a token, what identified somebody erased."""
    singles = " or ".join(
        f"person_digest('{kind}:{SCOPES[kind]}:' || token) in (from erased_person)" for kind in SINGLE_KINDS
    )
    steps = [f"tokens_of as (select place, unnest(tokens(text)) as token from {texts})"]
    found = [
        f"select place from tokens_of where value_digest(token) in (from erased_value) or {singles}",
        *(
            # The columns of such a key may stand anywhere in a broken row.
            "select one.place from tokens_of as one join tokens_of as other on one.place = other.place"
            f" where person_digest('{kind}:' || one.token || ':' || other.token) in (from erased_person)"
            for kind in sorted({person.kind for person in contract.persons} - set(SINGLE_KINDS))
        ),
    ]
    return f"with {', '.join(steps)} {' union all '.join(found)}"


def _parquet(files: Sequence[Path]) -> str:
    return f"read_parquet([{', '.join(quote_literal(str(file)) for file in files)}])"


def _exists(con: duckdb.DuckDBPyConnection, query: str) -> bool:
    return con.execute(f"select count(*) from (select 1 from ({query}) limit 1)").fetchall() != [(0,)]
