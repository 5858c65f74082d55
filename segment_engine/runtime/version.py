"""A published version as filters are asked on it: on its own day, on an earlier one, or on a day before its history.

Here it is decided who the customers are and where they are read from on each of these days. Opening published files is
`published.py`'s, finding out who a filter means `audiences.py`'s.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from segment_engine.catalog import Catalog
from segment_engine.emit import name_of
from segment_engine.formula import TRUE, things_of
from segment_engine.layout import Layout
from segment_engine.relations import ATTRIBUTE_HISTORY, Relations, relations_of
from segment_engine.runtime.bitmaps import Bitmap, evaluated, of_keys
from segment_engine.runtime.leaves import LeafReader, Version
from segment_engine.sentences import OptionLabels
from segment_engine.statements import KEY, select_customers
from segment_engine.tree import AudienceKind
from segment_engine.validate import Asking


class UnknownCustomerError(Exception):
    """Nobody has this `one_id`, and nobody had it before a merge."""

    def __init__(self, one_id: str) -> None:
        super().__init__(f"there is no customer {one_id} / 没有客户 {one_id}")
        self.one_id = one_id


@dataclass(frozen=True, slots=True)
class Opened:
    """A version, and the moment that filters are asked about.

    as_of: aware, in the tenant's zone; is_past, is_before_history: as `Asking` says; known: per source, the moment by
    which all of its rows were known, where that is told; left_out: customers of excluded clinics only, None where no
    clinic is excluded
    """

    catalog: Catalog
    version: Version
    as_of: datetime
    is_past: bool = False
    is_before_history: bool = False
    known: Mapping[str, datetime] = field(default_factory=dict)
    left_out: Bitmap | None = None

    @property
    def excluded_clinics(self) -> frozenset[str]:
        """Clinics whose rows do not exist for the filters that are asked."""
        return self.version.marts.excluded_clinics


def open_audiences(
    connection: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    *,
    zone: str,
    published_on: date,
    as_of: datetime,
    layout: Layout | None = None,
    excluded_clinics: frozenset[str] = frozenset(),
) -> Opened:
    """What filters are asked on: customers as they were at `as_of`, which is aware and in the tenant's zone.

    published_on: the version's business day; layout: of the file's engine tables, None where it has none;
    excluded_clinics: ended or initialising, whoever is at no other is no customer. An `as_of` after that day finds
    customers as they are in the version. Raises duckdb.Error.
    """
    is_past = as_of.date() < published_on
    is_before = is_past and _is_before_history(connection, as_of.date())
    marts = relations_of(
        catalog,
        zone,
        history_on=as_of.date() if is_past and not is_before else None,
        created_by=as_of if is_before else None,
        excluded_clinics=excluded_clinics,
    )
    keys = _keys(connection, catalog) if layout is None else layout.keys
    version = Version(marts, layout, keys, _everyone(connection, marts.of_all_clinics, keys))
    known = {} if layout is None else layout.known
    there = customers_in(connection, version)
    left_out = version.everyone - there if excluded_clinics else None
    return Opened(catalog, replace(version, everyone=there), as_of, is_past, is_before, known, left_out)


def customers_in(connection: duckdb.DuckDBPyConnection, version: Version) -> Bitmap:
    """Of everyone in a version those whom its universe does not leave out; raises duckdb.Error."""
    universe = version.marts.universe
    if universe == TRUE:
        return version.everyone
    asked: list[Any] = list(things_of(universe))
    found = LeafReader(connection.cursor(), version).of_customers(asked)
    return evaluated(universe, lambda thing: found[thing], version.everyone)


def asking_for(
    opened: Opened,
    *,
    permissions: AbstractSet[str] = frozenset(),
    tags: AbstractSet[int] = frozenset(),
    segments: AbstractSet[int] = frozenset(),
    disabled: Mapping[tuple[AudienceKind, int], str] | None = None,
) -> Asking:
    """Who asks about this version, and what cannot be known of its day."""
    return Asking(
        frozenset(permissions),
        frozenset(tags),
        frozenset(segments),
        opened.is_past,
        opened.is_before_history,
        disabled or {},
    )


def end_of(day: date, zone: ZoneInfo) -> datetime:
    """The last moment of a day: what a version of that day is asked about."""
    return datetime.combine(day, time.max, zone)


def read_labels(connection: duckdb.DuckDBPyConnection, catalog: Catalog) -> OptionLabels:
    """Labels of all options that are rows of another table."""
    of_sources = (one for source in catalog.sources.values() for one in source.fields.values())
    fields = [*catalog.attributes.values(), *of_sources]
    labels: dict[tuple[str, str], str] = {}
    for told in dict.fromkeys(one.options_from for one in fields if one.options_from is not None):
        value, label = _quoted(told.value), _quoted(told.label)
        text = f"select {value}, {label} from {told.table} where {value} is not null and {label} is not null"
        labels |= {(told.table, str(one)): str(name) for one, name in connection.execute(text).fetchall()}
    return labels


def customer_key_of(connection: duckdb.DuckDBPyConnection, catalog: Catalog, one_id: str) -> int:
    """The customer who has this id, or who had it before a merge; raises UnknownCustomerError."""
    found = connection.execute(
        f"select customer_key from {catalog.customers} where one_id = $one_id union all "
        "select customer_key from marts.one_id_alias where old_one_id = $one_id limit 1",
        {"one_id": one_id},
    ).fetchone()
    if found is None:
        raise UnknownCustomerError(one_id)
    return int(found[0])


def customers_of(connection: duckdb.DuckDBPyConnection, catalog: Catalog, one_ids: Sequence[str], keys: int) -> Bitmap:
    """Who has these ids now, or had one of them before a merge; ids of nobody are passed over."""
    text = (
        f"select customer_key from told inner join {catalog.customers} using (one_id) union all "
        "select customer_key from told inner join marts.one_id_alias on told.one_id = one_id_alias.old_one_id "
        f"inner join {catalog.customers} using (customer_key)"
    )
    # As Arrow: bound as a list, hundreds of thousands of ids take four times as long.
    told = connection.from_arrow(pa.table({"one_id": pa.array(one_ids, pa.string())})).query("told", text)
    assert told is not None, "a query has an answer"
    return of_keys(told.fetchnumpy()[KEY], keys)


def one_ids_of(connection: duckdb.DuckDBPyConnection, catalog: Catalog, keys: Sequence[int]) -> list[str]:
    """The ids of these customers, in their order."""
    text = f"select customer_key, one_id from {catalog.customers} where customer_key in (select unnest($keys))"
    found = dict(connection.execute(text, {"keys": list(keys)}).fetchall())
    return [str(found[key]) for key in keys]


def _is_before_history(connection: duckdb.DuckDBPyConnection, day: date) -> bool:
    """Nobody was written down by then."""
    found = connection.execute(f"select min(valid_from) from {ATTRIBUTE_HISTORY}").fetchone()
    return found is None or found[0] is None or day < found[0]


def _keys(connection: duckdb.DuckDBPyConnection, catalog: Catalog) -> int:
    found = connection.execute(f"select coalesce(max(customer_key) + 1, 0) from {catalog.customers}").fetchone()
    assert found is not None
    return int(found[0])


def _everyone(connection: duckdb.DuckDBPyConnection, relations: Relations, keys: int) -> Bitmap:
    """Those whom a filter without a condition selects."""
    statement = select_customers(TRUE, relations)
    return of_keys(connection.execute(statement.text, dict(statement.values)).fetchnumpy()[KEY], keys)


def _quoted(name: str) -> str:
    return name_of(name).sql("duckdb")
