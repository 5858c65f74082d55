"""One change of the members of a static tag or segment: written, counted, and noted in the audit log."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from api.audiences.static_people import People
from api.audiences.static_repository import rows_to_change
from api.audiences.static_rules import Act, Kind, require_changeable
from api.audit.log import Entry, append
from api.caller import Caller
from api.storage.audience_members import How, add_members, remove_members
from api.storage.erasures import hold_erasures


@dataclass(frozen=True, slots=True)
class Target:
    """Which tag or segment is changed in which way; path: where the request names it."""

    kind: Kind
    audience_id: int
    act: Act
    how: How
    path: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many customers a change met: changed by it, already as it wanted them, not seen by its caller."""

    changed: int = 0
    unchanged: int = 0
    not_seen: int = 0

    @property
    def met(self) -> int:
        return self.changed + self.unchanged

    def told(self, act: Act) -> dict[str, int]:
        """By the names that answers and the audit log have for them."""
        if act is Act.ADD:
            return {"added": self.changed, "already_in": self.unchanged}
        return {"removed": self.changed, "not_in": self.unchanged}

    def plus(self, other: "Counts") -> "Counts":
        mine, theirs = asdict(self), asdict(other)
        return Counts(**{name: mine[name] + theirs[name] for name in mine})


def check_target(connection: Connection, target: Target) -> None:
    """Raise NotFoundError, InvalidError or ConflictError when its members cannot be changed by hand."""
    rows = rows_to_change(connection, target.kind, [target.audience_id])
    require_changeable(target.kind, {target.path: rows.get(target.audience_id)})


def change(connection: Connection, target: Target, people: People, *, by: str, now: datetime) -> Counts:
    """Put the people in or take them out; raises what `check_target` raises."""
    hold_erasures(connection)
    check_target(connection, target)
    act: Callable[..., int] = add_members if target.act is Act.ADD else remove_members
    changed = act(connection, target.audience_id, people.one_ids, how=target.how, by=by, now=now, former=people.former)
    return Counts(changed, len(people.one_ids) - changed)


def note(connection: Connection, caller: Caller, target: Target, told: dict[str, Any], *, now: datetime) -> None:
    """The audit row of a change: counts only."""
    action = f"{target.kind.name}.members.{target.act}"
    entry = Entry(action, target.kind.name, str(target.audience_id), after={"how": target.how, **told})
    append(connection, caller, entry, now=now)
