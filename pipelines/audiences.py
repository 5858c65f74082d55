"""What the commands `cdp audience …` ask: a filter from a file, and the published version that it is asked on.

Reading versions and working filters out belongs to `segment_engine.runtime`.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb

from pipelines.settings import PipelineSettings
from pipelines.stored_audiences import StoredAudiences, stored_audiences
from segment_engine.checked import CheckedGroup
from segment_engine.compile import check
from segment_engine.predicates import InAudience
from segment_engine.problems import InvalidFilterError, Problem
from segment_engine.runtime.bitmaps import Bitmap
from segment_engine.runtime.catalogs import PublishedCatalogs
from segment_engine.runtime.engine_layout import read_layout
from segment_engine.runtime.published import Pointer, open_current
from segment_engine.runtime.version import (
    Opened,
    asking_for,
    end_of,
    open_audiences,
    read_labels,
)
from segment_engine.sentences import OptionLabels
from segment_engine.strict_json import FILE, JsonLimits, NotStrictJsonError, parse_json
from segment_engine.tree import AudienceKind

STDIN: Final = Path("-")
_LIMITS: Final = JsonLimits(max_bytes=1 << 20, max_depth=64)


class NotPublishedYetError(Exception):
    """The day that was asked about is later than the version's."""

    def __init__(self, day: date, published_on: date) -> None:
        super().__init__(
            f"{day} is after {published_on}, the last business day that is published / "
            f"{day} 晚于已发布的最新业务日 {published_on}"
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """An open version, and a filter that was checked for it."""

    settings: PipelineSettings
    connection: duckdb.DuckDBPyConnection
    opened: Opened
    stored: StoredAudiences
    checked: CheckedGroup
    labels: OptionLabels

    def members(self, one: InAudience) -> Bitmap:
        """Of a tag or segment; raises DamagedMembershipsError."""
        return self.stored.members(one, self.opened, self.connection, self.settings)


@dataclass(frozen=True, slots=True)
class Served:
    """The version that is served, open to be asked about a day, with the tags and segments that there are."""

    connection: duckdb.DuckDBPyConnection
    pointer: Pointer
    opened: Opened
    stored: StoredAudiences


def read_document(file: Path) -> Any:
    """The JSON of a file, or of stdin for `-`; raises InvalidFilterError."""
    try:
        with sys.stdin.buffer if file == STDIN else file.open("rb") as reader:
            # One more than may be there tells that there is too much.
            content = reader.read(_LIMITS.max_bytes + 1)
        return parse_json(content, _LIMITS, FILE)
    except OSError as error:
        told = f"无法读取 {file}:{error.strerror}", f"{file} cannot be read: {error.strerror}."
        raise InvalidFilterError(Problem("unreadable", "", *told)) from None
    except NotStrictJsonError as refused:
        raise InvalidFilterError(*refused.problems) from None


@contextmanager
def asked(settings: PipelineSettings, document: Any, day: date | None) -> Iterator[Asked]:
    """The filter, checked on the served version for a day, else for the version's own.

    An operator may name every field; whether its values are shown is another question. Raises NothingPublishedError,
    NotPublishedYetError, DamagedCatalogError, InvalidFilterError, duckdb.Error.
    """
    with served(settings, day) as found:
        catalog = found.opened.catalog
        asking = asking_for(
            found.opened,
            permissions=catalog.permissions,
            tags=found.stored.ids(AudienceKind.TAG),
            segments=found.stored.ids(AudienceKind.SEGMENT),
        )
        checked = check(document, catalog, asking)
        labels = read_labels(found.connection, catalog)
        yield Asked(settings, found.connection, found.opened, found.stored, checked, labels)


@contextmanager
def served(settings: PipelineSettings, day: date | None = None) -> Iterator[Served]:
    """The served version, about a day, else about its own; raises as `asked`, but for InvalidFilterError."""
    connection, pointer = open_current(settings.folders, timezone=settings.timezone, threads=settings.threads)
    with connection:
        if day is not None and day > pointer.as_of:
            raise NotPublishedYetError(day, pointer.as_of)
        catalog = PublishedCatalogs(settings.folders).of(pointer)
        as_of = end_of(day or pointer.as_of, settings.zone)
        is_past = day is not None and day < pointer.as_of
        stored = stored_audiences(settings, pointer.as_of, as_of if is_past else None)
        opened = open_audiences(
            connection,
            catalog,
            zone=settings.timezone,
            published_on=pointer.as_of,
            as_of=as_of,
            layout=read_layout(connection, catalog),
            excluded_clinics=stored.excluded_clinics,
        )
        yield Served(connection, pointer, opened, stored)
