"""The static tags on one customer: seen, put on and taken off by staff who have the customer before them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from api.access.actors import Actor
from api.access.erased import erased_customers
from api.access.permissions import Permission
from api.audiences.static_people import People, customers_by_id, in_reach
from api.audiences.static_repository import rows_to_change, tags_on
from api.audiences.static_rules import TAG, require_changeable
from api.audiences.static_schemas import CustomerTag, CustomerTags
from api.audit.log import Entry, append
from api.audit.persons import person_target
from api.caller import Caller
from api.customers.service import NO_CUSTOMER
from api.errors import NotFoundError
from api.storage.audience_members import How, add_members, remove_members
from api.storage.database import Database
from api.storage.erasures import hold_erasures
from segment_engine.runtime.former_ids import former_ids
from segment_engine.runtime.published import PublishedReader

HOW: How = "staff"


def one_person(
    reader: PublishedReader, database: Database, actor: Actor, one_id: str, permission: Permission
) -> People:
    """The customer of this id, or of the one it was merged into; raises NotFoundError for who is out of reach."""
    with database.read() as connection:
        conditions = in_reach(actor, erased_customers(connection), permission)
    with reader.cursor() as (cursor, _):
        found = customers_by_id(cursor, conditions, [one_id])
        if not found:
            raise NotFoundError(NO_CUSTOMER)
        ((key, now_id),) = found.values()
        return People((now_id,), former_ids(cursor, [now_id]), key)


def shown_tags(connection: Connection, person: People) -> CustomerTags:
    """The enabled static tags on the customer."""
    rows = tags_on(connection, person.ids_of(person.one_ids[0]))
    return CustomerTags(tags=[CustomerTag.model_validate(row) for row in rows])


def put_on(
    connection: Connection, caller: Caller, person: People, tag_ids: Sequence[int], *, secret: bytes, now: datetime
) -> CustomerTags:
    """The customer's tags with these among them; raises NotFoundError, InvalidError, ConflictError."""
    if not hold_erasures(connection).isdisjoint(person.ids_of(person.one_ids[0])):
        raise NotFoundError(NO_CUSTOMER)
    rows = rows_to_change(connection, TAG, tag_ids)
    require_changeable(TAG, {f"/tag_ids/{place}": rows.get(tag_id) for place, tag_id in enumerate(tag_ids)})
    changed = [
        tag_id
        for tag_id in sorted(set(tag_ids))
        if add_members(connection, tag_id, person.one_ids, how=HOW, by=caller.key, now=now, former=person.former)
    ]
    tags = shown_tags(connection, person)
    _note(connection, caller, "customer.tags.add", person, changed, secret=secret, now=now)
    return tags


def take_off(
    connection: Connection, caller: Caller, person: People, tag_id: int, *, secret: bytes, now: datetime
) -> None:
    """Take one tag off; nothing happens when it is not on. Raises NotFoundError, ConflictError."""
    rows = rows_to_change(connection, TAG, [tag_id])
    require_changeable(TAG, {"/path/tag_id": rows.get(tag_id)})
    met = remove_members(connection, tag_id, person.one_ids, how=HOW, by=caller.key, now=now, former=person.former)
    _note(connection, caller, "customer.tags.remove", person, [tag_id] if met else [], secret=secret, now=now)


def _note(
    connection: Connection,
    caller: Caller,
    action: str,
    person: People,
    tags: list[int],
    *,
    secret: bytes,
    now: datetime,
) -> None:
    if tags:
        target = person_target(secret, "customer", person.one_ids[0])
        append(connection, caller, Entry(action, "customer", target, after={"tags": tags}), now=now)
