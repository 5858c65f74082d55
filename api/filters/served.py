"""A published version, made ready for filters once and kept as long as it is served.

Kept are its catalogue, where its customers are, the leaves that filters asked before, and whom data permissions reach.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final
from zoneinfo import ZoneInfo

import duckdb

from api.filters.labels import Colleagues, read_colleagues
from segment_engine.catalog import Catalog
from segment_engine.layout import Layout
from segment_engine.runtime.audiences import LeafMemory
from segment_engine.runtime.bitmaps import Bitmap, of_keys
from segment_engine.runtime.catalogs import PublishedCatalogs
from segment_engine.runtime.engine_layout import read_layout
from segment_engine.runtime.published import Pointer
from segment_engine.runtime.version import Opened, end_of, open_audiences, read_labels
from segment_engine.sentences import OptionLabels
from segment_engine.statements import KEY

SCOPES: Final = 128
"""So many sets of customers that somebody reaches are kept: of a million customers, 150 KB each."""

_Scope = tuple[str, str]


class Scopes:
    """Sets of customers by predicate; the longest unused are forgotten first. For several threads."""

    def __init__(self, most: int = SCOPES) -> None:
        self._most = most
        self._found: OrderedDict[_Scope, Bitmap] = OrderedDict()
        self._guard = threading.Lock()

    def get(self, key: _Scope) -> Bitmap | None:
        """The set, None when it is not kept."""
        with self._guard:
            if key in self._found:
                self._found.move_to_end(key)
            return self._found.get(key)

    def keep(self, key: _Scope, found: Bitmap) -> None:
        """Keep it."""
        with self._guard:
            self._found[key] = found
            if len(self._found) > self._most:
                self._found.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Served:
    """One version on its own day, and what is remembered of it; layout: of its engine tables, None without any."""

    pointer: Pointer
    catalog: Catalog
    zone: ZoneInfo
    layout: Layout | None
    opened: Opened
    labels: OptionLabels
    colleagues: Colleagues
    memory: LeafMemory = field(default_factory=LeafMemory)
    scopes: Scopes = field(default_factory=Scopes)

    def opened_on(self, cursor: duckdb.DuckDBPyConnection, day: date) -> Opened:
        """The version as filters are asked on it about an earlier day."""
        excluded = self.opened.excluded_clinics
        return _opened(cursor, self.pointer, self.catalog, self.layout, self.zone, day, excluded)

    def scope(self, cursor: duckdb.DuckDBPyConnection, predicate: str, values: Mapping[str, Any]) -> Bitmap:
        """The customers of today for whom a predicate over `marts.dim_customer` holds."""
        key = (predicate, repr(sorted(values.items())))
        found = self.scopes.get(key)
        if found is None:
            text = f"select {KEY} from {self.catalog.customers} where {predicate}"
            found = of_keys(cursor.execute(text, dict(values)).fetchnumpy()[KEY], self.opened.version.keys)
            self.scopes.keep(key, found)
        return found


class ServedVersions:
    """The version that was asked for last. Thread-safe."""

    def __init__(self, catalogs: PublishedCatalogs, zone: ZoneInfo) -> None:
        self._catalogs = catalogs
        self._zone = zone
        self._guard = threading.Lock()
        self._kept: tuple[tuple[str, str, frozenset[str]], Served] | None = None

    def of(self, cursor: duckdb.DuckDBPyConnection, pointer: Pointer, excluded: frozenset[str]) -> Served:
        """The version behind this cursor without some clinics; raises DamagedCatalogError, duckdb.Error."""
        key = (pointer.file, pointer.sha256, excluded)
        with self._guard:
            # Others wait meanwhile: they would all read the same.
            if self._kept is None or self._kept[0] != key:
                self._kept = key, _read(cursor, pointer, self._catalogs.of(pointer), self._zone, excluded)
            return self._kept[1]


def _read(
    cursor: duckdb.DuckDBPyConnection, pointer: Pointer, catalog: Catalog, zone: ZoneInfo, excluded: frozenset[str]
) -> Served:
    layout = read_layout(cursor, catalog)
    return Served(
        pointer=pointer,
        catalog=catalog,
        zone=zone,
        layout=layout,
        opened=_opened(cursor, pointer, catalog, layout, zone, pointer.as_of, excluded),
        labels=read_labels(cursor, catalog),
        colleagues=read_colleagues(cursor, catalog),
    )


def _opened(
    cursor: duckdb.DuckDBPyConnection,
    pointer: Pointer,
    catalog: Catalog,
    layout: Layout | None,
    zone: ZoneInfo,
    day: date,
    excluded: frozenset[str],
) -> Opened:
    return open_audiences(
        cursor,
        catalog,
        zone=zone.key,
        published_on=pointer.as_of,
        as_of=end_of(day, zone),
        layout=layout,
        excluded_clinics=excluded,
    )
