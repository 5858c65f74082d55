"""Places for the tests of the sample: a clean sample and a dirty one, read back from landing as any reader would."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
import pytest
from python_calamine import CalamineWorkbook

from pipelines.sample.contracts import Column, Contract, contracts
from pipelines.sample.generate import SampleSummary, write_sample
from segment_engine.runtime.folders import DataFolders

SHANGHAI = ZoneInfo("Asia/Shanghai")
END_ON = date(2026, 11, 20)
DAYS = 400
CUSTOMERS = 3_000


@dataclass(frozen=True)
class Landed:
    """A sample on disk."""

    root: Path
    summary: SampleSummary

    def manifests(self, table: str) -> list[dict[str, Any]]:
        paths = sorted((self.root / "landing" / table).glob("*/_manifest.json"))
        found = [json.loads(path.read_text("utf-8")) for path in paths]
        return sorted(found, key=lambda m: (m["window"]["to"], m["batch_id"]))

    def batch(self, table: str, batch_id: str) -> pl.DataFrame:
        """Rows of one batch, columns in the contract's types (money in fen, moments in UTC)."""
        folder = self.root / "landing" / table / batch_id
        files = json.loads((folder / "_manifest.json").read_text("utf-8"))["files"]
        return pl.concat([read_rows(folder / f["name"], f["format"], contracts()[table]) for f in files])

    def rows(self, table: str) -> pl.DataFrame:
        """The rows a warehouse would hold: of every key the row of the latest batch."""
        batches = [m["batch_id"] for m in self.manifests(table)]
        every = pl.concat([self.batch(table, b).with_columns(_batch=pl.lit(n)) for n, b in enumerate(batches)])
        contract = contracts()[table]
        return every.sort("_batch").unique(list(contract.key), keep="last", maintain_order=True).drop("_batch")


_shared = duckdb.connect()
_shared.execute("set TimeZone = 'Asia/Shanghai'")


def read_rows(path: Path, file_format: str, contract: Contract) -> pl.DataFrame:
    con = _shared.cursor()
    con.execute("set TimeZone = 'Asia/Shanghai'")
    if file_format == "xlsx":
        header, *cells = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()
        con.register("raw", pl.DataFrame([[c or None for c in row] for row in cells], schema=header, orient="row"))
        relation = "raw"
    elif file_format == "jsonl":
        spec = {c.name: "VARCHAR[]" if c.type == "options" else "VARCHAR" for c in contract.columns}
        relation = f"read_json('{path}', format='newline_delimited', columns={spec})"
    elif file_format == "csv":
        relation = f"read_csv('{path}', all_varchar=true, header=true, delim=',', quote='\"', escape='\"')"
    else:
        relation = f"read_parquet('{path}')"
    chosen = ", ".join(_cast(column, file_format) for column in contract.columns)
    return con.sql(f"select {chosen} from {relation}").pl()


def _cast(column: Column, file_format: str) -> str:
    name = f'"{column.name}"'
    match column.type:
        case "money" if column.unit == "yuan":
            value = f"cast(cast({name} as decimal(18, 2)) * 100 as bigint)"
        case "money" | "integer":
            value = f"cast({name} as bigint)"
        case "boolean":
            text = f"cast({name} as varchar)"
            value = f"case {text} when '是' then true when '否' then false else cast({text} as boolean) end"
        case "date":
            value = f"cast({name} as date)"
        case "datetime":
            value = f"cast({name} as timestamptz)"
        case "options" if file_format == "csv":
            value = f"string_split({name}, '|')"
        case _:
            value = name
    return f"{value} as {name}"


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Landed]:
    def make_one(*, root: Path | None = None, **changes: Any) -> Landed:
        where = root or tmp_path_factory.mktemp("sample")
        wanted = {"customers": 300, "days": DAYS, "seed": 7, "end_on": END_ON, "dirty": False, "zone": SHANGHAI}
        return Landed(where, write_sample(DataFolders(where), **(wanted | changes)))

    return make_one


@pytest.fixture(scope="session")
def clean(make: Callable[..., Landed]) -> Landed:
    return make(customers=CUSTOMERS)


@pytest.fixture(scope="session")
def small(make: Callable[..., Landed]) -> Landed:
    return make()


@pytest.fixture(scope="session")
def dirty(make: Callable[..., Landed]) -> Landed:
    return make(dirty=True)


@pytest.fixture(scope="session")
def tables(clean: Landed) -> dict[str, pl.DataFrame]:
    return {name: clean.rows(name) for name in contracts()}
