"""Which columns a caller looks at: read, kept, and refused where the seed does not allow them."""

from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, Field
from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from api.access.actors import Actor
from api.audit.log import Entry, append
from api.caller import Caller
from api.customer_list.columns import ALWAYS_PINNED, COLUMNS, DEFAULT, ColumnName, Layout, sorts_by, still_known
from api.customer_list.schemas import Columns
from api.errors import InvalidError
from api.shapes import Input
from api.storage.tables.customer_list import customer_list_columns
from api.versions import require_changed, require_version
from segment_engine.problems import Problem

UNSAVED: Final = 0
"""The version of the columns of somebody who has chosen none."""


class ChosenColumns(Input):
    """Columns in order."""

    pinned: Columns = Field(description="Stay in sight; nickname and name are always among them / 固定列")
    others: Columns = Field(description="Scroll / 非固定列")


class KnownColumn(BaseModel):
    """A column that there is."""

    name: ColumnName
    label_zh: str
    label_en: str
    sortable: bool = Field(description="Whether the caller may sort by it / 可否排序")
    always_pinned: bool


class OwnColumns(BaseModel):
    """The caller's columns, and which there are to choose from."""

    pinned: list[ColumnName]
    others: list[ColumnName]
    is_default: bool = Field(description="The caller has chosen none yet / 是否为默认列")
    available: list[KnownColumn] = Field(description="All of them / 可选列")


def own_layout(connection: Connection, owner: str) -> tuple[Layout, int]:
    """The columns of a caller, and their version."""
    found = connection.execute(
        select(customer_list_columns).where(customer_list_columns.c.owner == owner)
    ).one_or_none()
    if found is None:
        return DEFAULT, UNSAVED
    return still_known(Layout(tuple(found.pinned), tuple(found.others))), int(found.version)


def save_layout(
    connection: Connection, caller: Caller, if_match: str | None, chosen: ChosenColumns, *, now: datetime
) -> tuple[Layout, int]:
    """Keep the columns; raises InvalidError, PreconditionRequiredError, PreconditionFailedError."""
    if problems := [*_problems(chosen)]:
        raise InvalidError(*problems)
    before, version = own_layout(connection, caller.key)
    require_version(version, if_match)
    layout = Layout(tuple(one.value for one in chosen.pinned), tuple(one.value for one in chosen.others))
    require_changed(_write(connection, caller.key, version, layout, now))
    entry = Entry(
        "customer_list.columns", "customer_list_columns", caller.key, list(before.names), list(layout.names)
    )  # fmt: skip
    append(connection, caller, entry, now=now)
    return layout, version + 1


def shown_layout(actor: Actor, layout: Layout, version: int) -> OwnColumns:
    """As the routes answer it."""
    return OwnColumns(
        pinned=[ColumnName(name) for name in layout.pinned],
        others=[ColumnName(name) for name in layout.others],
        is_default=version == UNSAVED,
        available=[
            KnownColumn(
                name=ColumnName(name),
                label_zh=one.label_zh,
                label_en=one.label_en,
                sortable=sorts_by(actor, name),
                always_pinned=name in ALWAYS_PINNED,
            )
            for name, one in COLUMNS.items()
        ],
    )


def _problems(chosen: ChosenColumns) -> list[Problem]:
    pinned = {one.value for one in chosen.pinned}
    problems = [
        Problem("always_pinned", "/pinned", f"固定列必须包含 {name}", f"`{name}` is always pinned.")
        for name in ALWAYS_PINNED
        if name not in pinned
    ]
    problems += [
        Problem("repeated_item", f"/others/{place}", "每项只能出现一次", "A column may be named only once.")
        for place, one in enumerate(chosen.others)
        if one.value in pinned
    ]
    return problems


def _write(connection: Connection, owner: str, version: int, layout: Layout, now: datetime) -> int:
    """The number of rows written: 0 where somebody else was faster."""
    values: dict[str, Any] = {
        "pinned": list(layout.pinned),
        "others": list(layout.others),
        "version": version + 1,
        "updated_at": now,
    }
    columns = customer_list_columns
    if version == UNSAVED:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        row = dialect.insert(columns).values(owner=owner, **values).on_conflict_do_nothing(index_elements=["owner"])
        return len(connection.execute(row.returning(columns.c.owner)).all())
    read = (columns.c.owner == owner, columns.c.version == version)
    return connection.execute(update(columns).where(*read).values(**values)).rowcount
