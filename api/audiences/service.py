"""Single tags and segments edited, enabled, disabled, deleted, put in order. Each in one transaction.

New ones are made in `creation`, rules changed in `definitions`.
"""

from collections.abc import Iterator
from typing import Any

from api.audiences import repository
from api.audiences.acting import Acting
from api.audiences.kinds import TAG, Sort
from api.audiences.repository import Row
from api.audiences.schemas import End, Move, SegmentEdit, TagEdit
from api.audiences.states import (
    against_deleting,
    against_disabling,
    against_enabling,
    against_name,
    found,
    own_row,
    require_none,
)
from api.versions import require_changed
from segment_engine.problems import Problem

_TOLD = ("name", "description", "color", "is_enabled")


def edit(acting: Acting, sort: Sort, audience_id: int, if_match: str | None, body: TagEdit | SegmentEdit) -> str | None:
    """Name, description, colour and state as the body says; returns the job where it is calculated anew."""
    row = own_row(acting, sort, audience_id, if_match)
    names = against_name(acting, sort.kind, row["group_id"], body.name, besides=audience_id)
    require_none([*names, *_against_state(acting, row, is_enabled=body.is_enabled)])
    return _changed(acting, sort, row, body.model_dump(), action="edit")


def set_enabled(acting: Acting, sort: Sort, audience_id: int, if_match: str | None, *, is_enabled: bool) -> str | None:
    """Enable or disable it; returns the job where it is calculated anew. What is so already stays as it is."""
    row = own_row(acting, sort, audience_id, if_match)
    if row["is_enabled"] == is_enabled:
        return None
    require_none(_against_state(acting, row, is_enabled=is_enabled))
    return _changed(acting, sort, row, {"is_enabled": is_enabled}, action="enable" if is_enabled else "disable")


def delete(acting: Acting, sort: Sort, audience_id: int, if_match: str | None) -> None:
    """It goes where no rule names it; raises ConflictError naming those that do."""
    row = own_row(acting, sort, audience_id, if_match)
    require_none(against_deleting(acting, [audience_id]))
    repository.delete_audiences(acting.connection, [audience_id], by=acting.by, now=acting.now)
    acting.tell(f"{sort.kind}.delete", sort.kind, audience_id, before=_kept(row, _TOLD))


def move(acting: Acting, audience_id: int, body: Move) -> Row:
    """A tag to the top or the bottom of its group."""
    row = found(acting, TAG, audience_id)
    at_end = repository.first_position if body.to is End.TOP else repository.last_position
    repository.set_positions(acting.connection, {audience_id: at_end(acting.connection, row["group_id"])})
    acting.tell("tag.move", "tag", audience_id, after={"to": body.to.value})
    return row


def _against_state(acting: Acting, row: Row, *, is_enabled: bool) -> Iterator[Problem]:
    if is_enabled == row["is_enabled"]:
        return
    yield from against_enabling(acting, row) if is_enabled else against_disabling(acting, [row["id"]])


def _changed(acting: Acting, sort: Sort, row: Row, values: dict[str, Any], *, action: str) -> str | None:
    """Write it, and what follows from its state."""
    is_new = values["is_enabled"] and not row["is_enabled"]
    further: dict[str, Any] = {}
    if values["is_enabled"] != row["is_enabled"]:
        further["disabled_because"] = None
    if is_new:
        further |= {"problems": None, "failed_at": None}
    met = repository.update_audience(acting.connection, row, {**values, **further}, by=acting.by, now=acting.now)
    require_changed(met)
    job_id = acting.calculate([row["id"]]) if is_new else None
    acting.tell(f"{sort.kind}.{action}", sort.kind, row["id"], before=_kept(row, values), after=values)
    return job_id


def _kept(row: Row, names: Any) -> dict[str, Any]:
    return {name: row[name] for name in names}
