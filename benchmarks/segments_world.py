"""The data of the benchmark of segments: what was published with the engine's tables in it, and its quadruple.

A folder holds `published.duckdb`, `catalog.json` and `about.json`; every process opens it anew. Making sample data is
the pipeline's; what is measured on it belongs to the modules beside this one.
"""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from datetime import time as time_of_day
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import duckdb

from benchmarks.segments_rules import Json
from segment_engine.catalog import Catalog, read_catalog
from segment_engine.compile import check
from segment_engine.formula import Formula, Thing, things_of
from segment_engine.layout import Layout, NotKeptError, coded
from segment_engine.normalize import normalize
from segment_engine.plan import is_ordered, plan
from segment_engine.predicates import Follows, HasRows, InAudience, OfRows
from segment_engine.relations import Relations, relations_of
from segment_engine.resolve import resolve
from segment_engine.runtime.bitmaps import Bitmap, of_keys
from segment_engine.runtime.engine_layout import read_layout
from segment_engine.runtime.engine_tables import build_engine
from segment_engine.runtime.folders import DataFolders
from segment_engine.runtime.leaves import Version
from segment_engine.runtime.published import read_pointer
from segment_engine.statements import rows_kept
from segment_engine.tree import AudienceKind
from segment_engine.validate import Asking

ZONE: Final = "Asia/Shanghai"
TIMES: Final = 4

Formulas = Mapping[InAudience, Formula]


@dataclass(frozen=True, slots=True)
class Built:
    """What adding the engine's tables took, and what they take."""

    seconds: float
    processor_seconds: float
    tables_mib: float
    marts_mib: float


@dataclass(frozen=True, slots=True)
class World:
    """One folder, opened: a connection, and what is known of its tables."""

    connection: duckdb.DuckDBPyConnection
    catalog: Catalog
    marts: Relations
    layout: Layout
    as_of: datetime
    clinics: tuple[str, ...]

    @property
    def known(self) -> dict[str, datetime]:
        """Until when all rows of each source are known."""
        stored = self.layout.sources.items()
        return {name: one.known_until for name, one in stored if one.known_until is not None}

    def version(self) -> Version:
        """What a reader of leaves is told."""
        return Version(self.marts, self.layout, self.layout.keys, self.everyone())

    def everyone(self) -> Bitmap:
        """The keys that customers have."""
        query = f"select customer_key from {self.layout.customers.table} where is_customer"
        return of_keys(self.connection.execute(query).fetchnumpy()["customer_key"], self.layout.keys)


def prepare(published: DataFolders, folder: Path, *, memory: str) -> Built:
    """Copy what is published into the folder and add the engine's tables; what was there before goes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pointer = read_pointer(published)
    shutil.copy(published.published / pointer.file, folder / "published.duckdb")
    shutil.copy(published.published / pointer.catalog_file, folder / "catalog.json")
    with duckdb.connect(str(folder / "published.duckdb"), config={"threads": 2, "memory_limit": memory}) as con:
        con.execute(f"set TimeZone = '{ZONE}'; drop schema if exists engine cascade; checkpoint")
        query = "select clinic_id from marts.dim_clinic order by clinic_id"
        about = {"as_of": str(pointer.as_of), "clinics": [row[0] for row in con.execute(query).fetchall()]}
        (folder / "about.json").write_text(json.dumps(about))
        marts = _used_mib(con)
        began, processor = time.perf_counter(), time.process_time()
        build_engine(con, _catalog_of(folder), zone=ZONE)
        seconds, processor = time.perf_counter() - began, time.process_time() - processor
        built = Built(seconds, processor, _used_mib(con) - marts, marts)
    (folder / "built.json").write_text(json.dumps(asdict(built)))
    return built


def quadruple(folder: Path, target: Path, *, memory: str) -> None:
    """The engine's tables with every row four times, each time with keys of its own, in the order they have."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in ("catalog.json", "about.json"):
        shutil.copy(folder / name, target / name)
    with duckdb.connect(str(target / "published.duckdb"), config={"threads": 2, "memory_limit": memory}) as con:
        con.execute(f"set TimeZone = '{ZONE}'; attach '{folder / 'published.duckdb'}' as once (read_only)")
        con.execute("create schema engine")
        for name in ("value", "layout", "day_digest"):
            con.execute(f"create table engine.{name} as from once.engine.{name}")
        con.execute(f"update engine.layout set rows = rows * {TIMES}, sorted_rows = sorted_rows * {TIMES}")
        sizes = con.execute(f"select relation, rows // {TIMES} from engine.layout order by relation").fetchall()
        keys = dict(sizes)["customer"]
        for relation, _ in sizes:
            _multiply(con, relation, keys)


def _multiply(con: duckdb.DuckDBPyConnection, relation: str, keys: int) -> None:
    table = f'engine."{relation}"'
    con.execute(f"create table {table} as from once.{table} limit 0")
    if relation == "customer":
        for copy in range(TIMES):
            moved = f"* replace ((customer_key + {copy * keys})::integer as customer_key)"
            con.execute(f"insert into {table} select {moved} from once.{table} order by rowid")
    else:
        # One row after the other, so that those that lie together still do.
        offsets = [copy * keys for copy in range(TIMES)]
        moved = f"* replace ((customer_key + unnest({offsets}))::integer as customer_key)"
        con.execute(f"insert into {table} select {moved} from once.{table}")
    con.execute("checkpoint")


def open_world(folder: Path, *, threads: int, memory: str) -> World:
    """A read-only connection to the folder's file, and what the folder tells."""
    about = json.loads((folder / "about.json").read_text())
    config: dict[str, Any] = {"threads": threads, "memory_limit": memory}
    con = duckdb.connect(str(folder / "published.duckdb"), read_only=True, config=config)
    con.execute(f"set TimeZone = '{ZONE}'")
    catalog = _catalog_of(folder)
    layout = read_layout(con, catalog)
    assert layout is not None
    day = datetime.fromisoformat(about["as_of"])
    as_of = datetime.combine(day, time_of_day.max, ZoneInfo(ZONE))
    return World(con, catalog, relations_of(catalog, ZONE), layout, as_of, tuple(about["clinics"]))


def formulas_of(world: World, rules: Mapping[int, Json], as_of: datetime | None = None) -> Formulas:
    """The resolved formulas of documents, by what others call them."""
    asking = Asking(segments=frozenset(rules))
    known = world.known if as_of is None else {}
    return {
        InAudience(AudienceKind.SEGMENT, number): resolve(
            normalize(check(document, world.catalog, asking)), as_of or world.as_of, known
        )
        for number, document in rules.items()
    }


def in_order_of_need(formulas: Formulas) -> Formulas:
    """Each after those that it refers to."""
    return plan(formulas).formulas  # type: ignore[return-value, arg-type]


def kept_by_engine(world: World, formulas: Formulas) -> Formulas:
    """Those that the engine's tables answer without the marts, and so do all that they refer to."""
    kept: dict[InAudience, Formula] = {}
    for key, formula in in_order_of_need(formulas).items():
        if all(one in kept if isinstance(one, InAudience) else _is_kept(world, one) for one in things_of(formula)):
            kept[key] = formula
    return kept


def referred_to(formulas: Formulas) -> set[InAudience]:
    """What any of them refers to."""
    return {one for formula in formulas.values() for one in things_of(formula) if isinstance(one, InAudience)}


def _is_kept(world: World, thing: Thing) -> bool:
    if isinstance(thing, Follows) or (isinstance(thing, OfRows) and is_ordered(thing)):
        return False
    try:
        if isinstance(thing, HasRows | OfRows):
            source = thing.rows.source
            coded(rows_kept(thing.rows, world.marts.sources[source]), world.layout.sources[source])
        else:
            coded(thing, world.layout.customers)
    except NotKeptError:
        return False
    return True


def tables_of(world: World, schema: str) -> Sequence[tuple[str, str]]:
    """Table and column of its day or moment, of every source, in the schema that is asked: `marts` or `engine`."""
    if schema == "marts":
        return [(one.table, one.time.name) for one in world.marts.sources.values()]
    found = []
    for name, stored in world.layout.sources.items():
        column = world.marts.sources[name].time
        found.append((stored.table, f"{column.name}__on" if column.type == "datetime" else column.name))
    return found


def _catalog_of(folder: Path) -> Catalog:
    return read_catalog(json.loads((folder / "catalog.json").read_text(encoding="utf-8")))


def _used_mib(con: duckdb.DuckDBPyConnection) -> float:
    used, size = con.execute("select used_blocks, block_size from pragma_database_size()").fetchall()[0]
    return float(used * size / 2**20)
