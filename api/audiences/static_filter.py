"""Whom a filter means on the served version, cut to the customers in the caller's reach.

A filter may name the fields that the caller sees, and finds only customers whose own values the caller sees in all of
them: else it would tell them. It may name enabled tags and segments; smart ones mean whom they meant when they were
calculated last.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
from sqlalchemy import Connection

from api.access.actors import Actor
from api.access.masking import permissions_for_class, visible_classes
from api.access.permissions import Permission
from api.errors import InvalidError, NotReadyError
from api.settings import ApiSettings
from api.storage.audience_members import static_members
from api.storage.audiences import current_versions, usable_audiences
from api.storage.calculation import FormerMembers
from segment_engine.catalog import Catalog
from segment_engine.checked import CheckedGroup
from segment_engine.compile import check, compile_many
from segment_engine.depends import depends_on
from segment_engine.predicates import InAudience
from segment_engine.problems import InvalidFilterError, Problem
from segment_engine.runtime.audiences import AudienceReader
from segment_engine.runtime.bitmaps import Bitmap
from segment_engine.runtime.engine_layout import read_layout
from segment_engine.runtime.limited import Budget, QueryTimeoutError
from segment_engine.runtime.memberships import DamagedMembershipsError, read_merges
from segment_engine.runtime.published import Pointer
from segment_engine.runtime.version import customers_of, end_of, open_audiences
from segment_engine.validate import Asking

PATH = "/filter"
LONGEST_SECONDS = 120.0
MEMBERS_LOST = Problem(
    "members_lost",
    PATH,
    "所引用的智能标签或分群的成员文件缺失,请重新计算后再试",
    "The file of a smart tag's or segment's members is lost; calculate it anew and try again.",
)


def checked_filter(connection: Connection, catalog: Catalog, actor: Actor, document: Any, path: str) -> CheckedGroup:
    """What the document means to this caller; raises InvalidError with everything that is wrong, at its place."""
    known = usable_audiences(connection)
    tags, segments = (frozenset(one.id for one in known if one.kind == kind) for kind in ("tag", "segment"))
    asking = Asking(visible_classes(actor), tags, segments)
    try:
        return check(document, catalog, asking)
    except InvalidFilterError as error:
        raise InvalidError(*(replace(one, path=f"{path}{one.path}") for one in error.problems)) from None


def permissions_in(checked: CheckedGroup, catalog: Catalog) -> frozenset[Permission]:
    """What it takes to see the values of all fields that the filter names."""
    needed: set[Permission] = set()
    for name in depends_on(checked).fields:
        source, _, field = name.rpartition(".")
        fields = catalog.sources[source].fields if source else catalog.attributes
        needed |= permissions_for_class(fields[field].permission)
    return frozenset(needed)


def meant(
    cursor: duckdb.DuckDBPyConnection,
    pointer: Pointer,
    connection: Connection,
    catalog: Catalog,
    settings: ApiSettings,
    checked: CheckedGroup,
) -> Bitmap:
    """Everybody whom the filter means, in reach or not; raises InvalidError when that takes too long, NotReadyError."""
    opened = open_audiences(
        cursor,
        catalog,
        zone=settings.timezone,
        published_on=pointer.as_of,
        as_of=end_of(pointer.as_of, settings.zone),
        layout=read_layout(cursor, catalog),
    )

    members = _Members(cursor, connection, catalog, settings.folders.audiences, opened.version.keys)
    plan = compile_many({PATH: checked}, opened.as_of, opened.known)
    reader = AudienceReader(cursor, opened.version, members.of)
    try:
        answer = Budget(LONGEST_SECONDS).run(lambda: reader.read(plan), reader.stop)
    except QueryTimeoutError as error:
        raise InvalidError(error.problem) from None
    except DamagedMembershipsError:
        raise NotReadyError(MEMBERS_LOST) from None
    return answer.members[PATH]


class _Members:
    """Who is in the tags and segments that one filter names."""

    def __init__(
        self, cursor: duckdb.DuckDBPyConnection, connection: Connection, catalog: Catalog, folder: Path, keys: int
    ) -> None:
        self._cursor = cursor
        self._connection = connection
        self._catalog = catalog
        self._folder = folder
        self._keys = keys

    def of(self, one: InAudience) -> Bitmap:
        """Its members now; of a smart one those of its last calculation, nobody before the first."""
        served = current_versions(self._connection, [one.id]).get(one.id)
        if served is not None:
            return FormerMembers(self._folder, read_merges(self._cursor), self._keys).now(served)
        one_ids = static_members(self._connection, [one.id])[one.id]
        return customers_of(self._cursor, self._catalog, one_ids, self._keys)
