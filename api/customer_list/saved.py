"""Saved filters (常用筛选): who may use, change and see them, and whether they still mean something.

Owners change their own. What people type to find one person is not kept: a phone, an ID number.
"""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from api.access.masking import CLASSES, permissions_for_class
from api.access.permissions import Permission
from api.audit.log import Entry, append
from api.caller import Caller
from api.customer_list import saved_repository as repository
from api.customer_list.saved_repository import Row
from api.customer_list.saved_schemas import FilterProblem, SavedFilter, SavedFilterInput, SavedFilters
from api.customers.asking import Asker
from api.customers.schemas import CustomerFilter
from api.customers.selection import ADVANCED, QUICK
from api.errors import ApiError, ConflictError, InvalidError, NotFoundError
from api.filters.refusals import all_at_once, refused
from api.versions import require_changed, require_version
from segment_engine.catalog import Catalog, Field
from segment_engine.compile import check
from segment_engine.document import CUSTOMER_LIST
from segment_engine.problems import InvalidFilterError, Problem, pointer
from segment_engine.tree import Place
from segment_engine.validate import Asking

MOST: Final = 100
"""Saved filters of one caller."""

NO_FILTER: Final = Problem(
    "saved_filter_unknown", "/path/filter_id", "常用筛选不存在", "There is no such saved filter."
)
NAME_TAKEN: Final = Problem(
    "name_taken", "/name", "您已有同名的常用筛选", "You have a saved filter of this name already."
)
TOO_MANY: Final = Problem(
    "too_many_saved_filters", "", f"常用筛选最多 {MOST} 个", f"Nobody keeps more than {MOST} saved filters."
)
_IDENTIFYING: Final = frozenset({Permission.CUSTOMER_PHONE_VIEW, Permission.CUSTOMER_ID_NUMBER_VIEW})
_IDENTIFYING_CLASSES: Final = frozenset(
    name for name in CLASSES if len(needed := permissions_for_class(name)) == 1 and needed <= _IDENTIFYING
)
_WORDS: Final = (
    "手机号码和证件号码不保存在常用筛选中",
    "A saved filter keeps no phone and no ID number: it would outlive the customer it is about.",
)


def saved_filters(connection: Connection, caller: Caller, asker: Asker, catalog: Catalog) -> SavedFilters:
    """The caller's own and the shared ones, with what is wrong with each now."""
    rows = repository.visible(connection, caller.key)
    return SavedFilters(filters=[shown(row, caller, asker, catalog) for row in rows])


def find_filter(connection: Connection, caller: Caller, filter_id: str) -> Row:
    """The row of one that the caller may use; raises NotFoundError."""
    row = repository.one(connection, filter_id)
    if row is None or not (row["is_shared"] or row["owner"] == caller.key):
        raise NotFoundError(NO_FILTER)
    return row


def create_filter(connection: Connection, caller: Caller, body: SavedFilterInput, *, now: datetime) -> Row:
    """Keep a filter that was checked; raises ConflictError for a name that the caller has used, or for too many."""
    repository.hold_owner(connection, caller.key)
    if repository.count(connection, caller.key) >= MOST:
        raise ConflictError(TOO_MANY)
    row = repository.insert_filter(connection, caller, _columns(body), now=now)
    if row is None:
        raise ConflictError(NAME_TAKEN)
    append(connection, caller, Entry("saved_filter.create", "saved_filter", row["id"], after=_told(row)), now=now)
    return row


def edit_filter(
    connection: Connection,
    caller: Caller,
    filter_id: str,
    if_match: str | None,
    body: SavedFilterInput,
    *,
    now: datetime,
) -> Row:
    """The whole filter anew, by its owner; raises as `create_filter`, NotFoundError, and for a stale version."""
    repository.hold_owner(connection, caller.key)
    row = _own(connection, caller, filter_id)
    require_version(row["version"], if_match)
    if repository.is_taken(connection, caller.key, body.name, besides=filter_id):
        raise ConflictError(NAME_TAKEN)
    require_changed(repository.update_filter(connection, filter_id, row["version"], _columns(body), now=now))
    edited = {**row, **_columns(body), "version": row["version"] + 1, "updated_at": now}
    entry = Entry("saved_filter.edit", "saved_filter", filter_id, before=_told(row), after=_told(edited))
    append(connection, caller, entry, now=now)
    return edited


def delete_filter(
    connection: Connection, caller: Caller, filter_id: str, if_match: str | None, *, now: datetime
) -> None:
    """It goes, by its owner; raises NotFoundError, and for a stale version."""
    row = _own(connection, caller, filter_id)
    require_version(row["version"], if_match)
    require_changed(repository.delete_filter(connection, filter_id, row["version"]))
    append(connection, caller, Entry("saved_filter.delete", "saved_filter", filter_id, before=_told(row)), now=now)


def require_sound(body: SavedFilterInput, asker: Asker, catalog: Catalog) -> None:
    """Raise InvalidError or NotPermittedError for a filter that the caller could not use, or that is not kept."""
    refusals = [*_refusals(body.filter, body.advanced, asker, catalog)]
    if kept := [*_identifying(body, catalog)]:
        refusals.append(InvalidError(*kept))
    if refusals:
        raise all_at_once(refusals)


def shown(row: Row, caller: Caller, asker: Asker, catalog: Catalog) -> SavedFilter:
    """A saved filter as the caller is told it."""
    quick, advanced = CustomerFilter.model_validate(row["document"]["filter"]), row["document"]["advanced"]
    problems = [problem for one in _refusals(quick, advanced, asker, catalog) for problem in one.problems]
    is_mine = row["owner"] == caller.key
    is_told = is_mine or not problems
    return SavedFilter(
        id=row["id"],
        name=row["name"],
        shared=row["is_shared"],
        mine=is_mine,
        owner_name=row["owner_name"],
        status="invalid" if problems else "valid",
        problems=[FilterProblem(**asdict(problem)) for problem in problems],
        filter=row["document"]["filter"] if is_told else None,
        advanced=advanced if is_told else None,
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _refusals(
    quick: CustomerFilter, advanced: dict[str, Any] | None, asker: Asker, catalog: Catalog
) -> Iterator[ApiError]:
    try:
        asker.sight.asked_for(quick, QUICK)
    except ApiError as error:
        yield error
    if advanced is not None:
        try:
            check(advanced, catalog, _asking(asker), CUSTOMER_LIST)
        except InvalidFilterError as error:
            yield refused(error, ADVANCED)


def _asking(asker: Asker) -> Asking:
    known = asker.known
    return Asking(asker.classes, known.tags, known.segments, disabled=known.disabled)


def _identifying(body: SavedFilterInput, catalog: Catalog) -> Iterator[Problem]:
    for name in ("phone", "id_number"):
        if getattr(body.filter, name) is not None:
            yield Problem("identifying_value", f"{QUICK}/{name}", *_WORDS)
    of_sources = (field for source in catalog.sources.values() for field in source.fields.values())
    named = {one.name for one in (*catalog.attributes.values(), *of_sources) if _is_identifying(one)}
    for place in _compared(body.advanced, named, ()):
        yield Problem("identifying_value", f"{ADVANCED}{pointer((*place, 'value'))}", *_WORDS)


def _is_identifying(field: Field) -> bool:
    return field.permission in _IDENTIFYING_CLASSES


def _compared(node: Any, names: set[str], place: Place) -> Iterator[Place]:
    """Where a document compares one of these fields with a value."""
    if isinstance(node, dict):
        if node.get("field") in names and "value" in node:
            yield place
        for name, member in node.items():
            yield from _compared(member, names, (*place, name))
    elif isinstance(node, list):
        for index, item in enumerate(node):
            yield from _compared(item, names, (*place, index))


def _own(connection: Connection, caller: Caller, filter_id: str) -> Row:
    """Of somebody else's shared filter one may know, but not change it: for its editing there is no such filter."""
    row = find_filter(connection, caller, filter_id)
    if row["owner"] != caller.key:
        raise NotFoundError(NO_FILTER)
    return row


def _columns(body: SavedFilterInput) -> dict[str, Any]:
    quick = body.filter.model_dump(mode="json", exclude_none=True)
    return {
        "name": body.name,
        "is_shared": body.shared,
        "document": {"filter": quick, "advanced": body.advanced},
    }


def _told(row: Row) -> dict[str, Any]:
    """What the audit log keeps: values may be names."""
    return {"name": row["name"], "shared": row["is_shared"]}
