"""Tags and segments in a store, as whoever administers them would have left them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from api.storage.database import Database
from api.storage.tables.audiences import audience, audience_definition, audience_member, tag_group

Json = Any

MADE = datetime(2026, 11, 1, 9, tzinfo=UTC)
GROUP = 1


def all_of(*rules: Json) -> Json:
    return {"combinator": "and", "rules": list(rules)}


EVERYONE = all_of({"kind": "everyone"})
NOBODY = {**EVERYONE, "not": True}
# About the catalogue of some other day.
WRONG = all_of({"kind": "attribute", "field": "no_such_field", "operator": "is_set"})


def share(first: int, end: int) -> Json:
    """These hundredths of all customers."""
    return all_of({"kind": "bucket", "salt": "test", "from": first, "to": end})


def in_segment(*ids: int) -> Json:
    return {"kind": "segment", "operator": "in", "segment_ids": list(ids)}


def in_tag(*ids: int) -> Json:
    return {"kind": "tag", "operator": "in", "tag_ids": list(ids)}


def add_audience(
    store: Database, number: int, rule: Json | None = None, *, kind: str = "segment", is_smart: bool = True
) -> int:
    """A smart one with a published definition, one without where there is no rule, or a static one."""

    def work(connection: Connection) -> None:
        if kind == "tag":
            _make_group(connection)
        stamps = {"created_at": MADE, "created_by": "test", "updated_at": MADE, "updated_by": "test"}
        connection.execute(
            insert(audience).values(
                id=number, kind=kind, is_smart=is_smart, group_id=GROUP if kind == "tag" else None,
                name=f"{kind} {number}", description="", position=number, is_enabled=True, is_preset=False, revision=0,
                version=1, **stamps,
            )
        )  # fmt: skip

    store.write(work)
    if rule is not None:
        define(store, number, rule)
    return number


def define(store: Database, number: int, rule: Json) -> int:
    """Publish a definition; its number."""

    def work(connection: Connection) -> int:
        columns = audience_definition.c
        before = select(func.coalesce(func.max(columns.number), 0)).where(columns.audience_id == number)
        new: int = connection.execute(before).scalar_one() + 1
        row = {
            "audience_id": number,
            "number": new,
            "filter": rule,
            "note": "",
            "created_at": MADE,
            "created_by": "test",
        }
        connection.execute(insert(audience_definition).values(row))
        connection.execute(update(audience).where(audience.c.id == number).values(definition=new))
        return new

    return store.write(work)


def change(store: Database, number: int, **values: Any) -> None:
    """Disable, delete or rename one."""
    store.write(lambda connection: connection.execute(update(audience).where(audience.c.id == number).values(values)))


def put_in(store: Database, number: int, one_ids: Iterable[str], *, at: datetime = MADE) -> None:
    """Put customers into a static one; its revision stands for its members."""
    rows = [
        {"audience_id": number, "one_id": one, "added_at": at, "added_by": "test", "added_how": "staff"}
        for one in one_ids
    ]

    def work(connection: Connection) -> None:
        connection.execute(insert(audience_member), rows)
        _revise(connection, number)

    store.write(work)


def take_out(store: Database, number: int, one_ids: Iterable[str], *, at: datetime) -> None:
    gone = {"removed_at": at, "removed_by": "test", "removed_how": "bulk"}
    columns = audience_member.c

    def work(connection: Connection) -> None:
        of_them = (columns.audience_id == number, columns.one_id.in_(list(one_ids)), columns.removed_at.is_(None))
        connection.execute(update(audience_member).where(*of_them).values(gone))
        _revise(connection, number)

    store.write(work)


def _revise(connection: Connection, number: int) -> None:
    connection.execute(update(audience).where(audience.c.id == number).values(revision=audience.c.revision + 1))


def _make_group(connection: Connection) -> None:
    if connection.execute(select(tag_group.c.id).where(tag_group.c.id == GROUP)).first() is None:
        row = {"id": GROUP, "is_smart": True, "name": "价值", "position": 1, "is_default": False, "version": 1}
        stamps = {"created_at": MADE, "created_by": "test", "updated_at": MADE}
        connection.execute(insert(tag_group).values(**row, **stamps))
