"""The review queues as one operator sees them: rows of the published version beside the decisions of the store.

What the rows are is said in `api.identity.review_queues`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any, TypeVar

import duckdb

from api.access.actors import Actor
from api.access.erased import without_erased
from api.access.masking import mask_name, mask_phone
from api.access.permissions import Permission
from api.errors import NotReadyError
from api.identity.archive_schemas import MatchReason
from api.identity.names import shown_key
from api.identity.refusal_words import reason_of
from api.identity.review_queues import Decision, Scope, count_of_queue, page_of_queue
from api.identity.review_schemas import (
    Change,
    Claimant,
    Conflict,
    ContestedValue,
    Hub,
    LimitCount,
    MovedIdentity,
    NearLimit,
    Party,
    Queue,
    QueueCount,
    ReviewPage,
    ReviewQuery,
    Reviews,
    Side,
)
from api.identity.schemas import ValueType
from api.identity.value_refs import ref_key
from api.keyset import Place
from api.storage.overrides import OperatorRow
from segment_engine.problems import Problem
from segment_engine.runtime.published import Pointer, PublishedReader

Row = Mapping[str, Any]
AnyPage = TypeVar("AnyPage", bound=ReviewPage)

NOT_PUBLISHED = Problem(
    "reviews_not_published",
    "",
    "当前数据版本还没有待审核队列,请在下一次发布后再试",
    "The published version has no review queues yet; they come with the next one.",
)


@dataclass(frozen=True, slots=True)
class Desk:
    """Who looks at the queues, and what stands in the store: overrides in force (oldest first), customers to forget."""

    actor: Actor
    overrides: Sequence[OperatorRow]
    erased: Sequence[str]
    secret: bytes


def reviews(reader: PublishedReader, desk: Desk) -> Reviews:
    """How much stands in each queue."""
    with _opened(reader, desk) as (cursor, pointer, scope):
        counts = {queue: count_of_queue(cursor, queue, scope) for queue in Queue}
    return Reviews(
        version=pointer.version,
        as_of=pointer.as_of,
        queues=[
            QueueCount(queue=queue, total=total, open=undecided, new=new)
            for queue, (total, undecided, new) in counts.items()
        ],
    )


def review_page(
    reader: PublishedReader, desk: Desk, queue: Queue, query: ReviewQuery, page: Callable[..., AnyPage]
) -> AnyPage:
    """One page of a queue, in the shape of that queue; raises InvalidError for a cursor that was never given out."""
    after = None if query.cursor is None else Place.decode(query.cursor)
    with _opened(reader, desk) as (cursor, pointer, scope):
        rows = page_of_queue(cursor, queue, scope, is_open=query.open, after=after, limit=query.limit + 1)
    told = rows[: query.limit]
    shown, look = _SHOWN[queue], _Look.of(desk.actor)
    return page(
        version=pointer.version,
        as_of=pointer.as_of,
        reviews=[shown(look, row) for row in told],
        next_cursor=_place(told[-1]).encode() if len(rows) > query.limit else None,
    )


@contextmanager
def _opened(reader: PublishedReader, desk: Desk) -> Iterator[tuple[duckdb.DuckDBPyConnection, Pointer, Scope]]:
    with reader.cursor() as (cursor, pointer):
        decisions = [_decision(row, pointer.published_at) for row in desk.overrides]
        scope = Scope(*without_erased(desk.erased))
        try:
            yield cursor, pointer, scope.binding(decisions, as_of=pointer.as_of, ref_key=ref_key(desk.secret))
        # A version of an earlier release, until the first night of this one.
        except (duckdb.CatalogException, duckdb.BinderException):
            raise NotReadyError(NOT_PUBLISHED) from None


def _decision(row: OperatorRow, published_at: datetime) -> Decision:
    is_new = row.valid_from is not None and row.valid_from >= published_at
    return Decision(row.id, row.kind, row.a, row.b, str(mask_phone(row.b)), is_new)


def _place(row: Row) -> Place:
    return Place(datetime.combine(row["since_night"], time.min, UTC), row["ref"])


@dataclass(frozen=True, slots=True)
class _Look:
    """What of persons the operator sees as it is; a queue may hold anybody, so only who may see everybody's does."""

    phones: bool
    names: bool

    @classmethod
    def of(cls, actor: Actor) -> "_Look":
        return cls(
            phones=actor.reaches_everybody(Permission.CUSTOMER_PHONE_VIEW),
            names=actor.reaches_everybody(Permission.CUSTOMER_NAME_VIEW),
        )

    def name(self, name: str | None) -> str | None:
        return name if self.names else mask_name(name)

    def key(self, key: str) -> str:
        return shown_key(key, sees_phones=self.phones)

    def side(self, row: Row) -> dict[str, Any]:
        return {**row, "key": self.key(row["key"]), "name": self.name(row["name"])}

    def value(self, row: Row) -> dict[str, Any]:
        return {**_plain(row), "value": row["value"] if self.phones else row["value_masked"]}

    def cause(self, row: Row) -> MatchReason | None:
        """Values are masked already, but a binding's is an identity key."""
        if row["value_type"] is None:
            return None
        is_key = row["value_type"] == ValueType.BINDING and row["value"] is not None
        return MatchReason(
            value_type=row["value_type"],
            value=self.key(row["value"]) if is_key else row["value"],
            via_key=row["via_key"] and self.key(row["via_key"]),
        )


def _plain(row: Row) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("ref", "value_masked")}


def _contested(look: _Look, row: Row) -> ContestedValue:
    claimants = [Claimant(**look.side(one)) for one in row["claimants"]]
    return ContestedValue(**{**look.value(row), "claimants": claimants})


def _hub(look: _Look, row: Row) -> Hub:
    return Hub(**look.value(row))


def _conflict(look: _Look, row: Row) -> Conflict:
    same = ("since_night", "decided_by", "value_type", "value", "tier")
    right = row["right_side"]
    return Conflict(
        **{name: row[name] for name in same},
        **reason_of(row["reason"]),
        left=Side(**look.side(row["left_side"])),
        right=None if right is None else Side(**look.side(right)),
    )


def _near_limit(look: _Look, row: Row) -> NearLimit:
    same = ("since_night", "decided_by", "one_id")
    limits = [LimitCount(**one) for one in row["limits"]]
    return NearLimit(**{name: row[name] for name in same}, name=look.name(row["name"]), limits=limits)


def _change(look: _Look, row: Row) -> Change:
    def party(side: str) -> Party:
        same = ("one_id", "stored_value_fen", "next_appointment_at")
        # A version from before this was a column does not tell it.
        treatments = row.get(f"{side}_open_treatments")
        return Party(
            **{name: row[f"{side}_{name}"] for name in same},
            open_treatments=treatments,
            name=look.name(row[f"{side}_name"]),
        )

    same = ("since_night", "decided_by", "is_merged", "moved_records")
    moved = [
        MovedIdentity(key=look.key(one["key"]), cause=look.cause(one), override_id=one["override_id"])
        for one in row["moved"]
    ]
    sides = {"from_customer": party("from"), "to_customer": party("to")}
    return Change(**{name: row[name] for name in same}, **sides, moved=moved)


_SHOWN: Mapping[Queue, Callable[[_Look, Row], Any]] = {
    Queue.CONTESTED_VALUES: _contested,
    Queue.HUBS: _hub,
    Queue.CONFLICTS: _conflict,
    Queue.NEAR_LIMIT: _near_limit,
    Queue.CHANGES: _change,
}
