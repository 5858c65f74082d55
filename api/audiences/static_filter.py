"""Whom a filter means on the served version, cut to the customers in the caller's reach.

A filter may name the fields that the caller sees, and finds only customers whose own values the caller sees in all of
them: else it would tell them. It may name the enabled static tags and segments.
"""

from dataclasses import replace
from typing import Any

import duckdb
from sqlalchemy import Connection

from api.access.actors import Actor
from api.access.masking import permissions_for_class, visible_classes
from api.access.permissions import Permission
from api.audiences.static_repository import enabled_static
from api.errors import InvalidError
from api.settings import ApiSettings
from api.storage.audience_members import static_members
from segment_engine.catalog import Catalog
from segment_engine.checked import CheckedGroup
from segment_engine.compile import check, compile_many
from segment_engine.depends import depends_on
from segment_engine.predicates import InAudience
from segment_engine.problems import InvalidFilterError
from segment_engine.runtime.audiences import AudienceReader
from segment_engine.runtime.bitmaps import Bitmap, of_keys
from segment_engine.runtime.engine_layout import read_layout
from segment_engine.runtime.former_ids import keys_of_ids
from segment_engine.runtime.limited import Budget, QueryTimeoutError
from segment_engine.runtime.published import Pointer
from segment_engine.runtime.version import end_of, open_audiences
from segment_engine.validate import Asking

PATH = "/filter"
LONGEST_SECONDS = 120.0


def checked_filter(connection: Connection, catalog: Catalog, actor: Actor, document: Any, path: str) -> CheckedGroup:
    """What the document means to this caller; raises InvalidError with everything that is wrong, at its place."""
    known = enabled_static(connection)
    asking = Asking(visible_classes(actor), known["tag"], known["segment"])
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
    """Everybody whom the filter means, in reach or not; raises InvalidError when that takes too long."""
    opened = open_audiences(
        cursor,
        catalog,
        zone=settings.timezone,
        published_on=pointer.as_of,
        as_of=end_of(pointer.as_of, settings.zone),
        layout=read_layout(cursor, catalog),
    )

    def members(one: InAudience) -> Bitmap:
        one_ids = static_members(connection, [one.id])[one.id]
        return of_keys(keys_of_ids(cursor, one_ids), opened.version.keys)

    plan = compile_many({PATH: checked}, opened.as_of, opened.known)
    reader = AudienceReader(cursor, opened.version, members)
    try:
        answer = Budget(LONGEST_SECONDS).run(lambda: reader.read(plan), reader.stop)
    except QueryTimeoutError as error:
        raise InvalidError(error.problem) from None
    return answer.members[PATH]
