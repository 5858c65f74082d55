"""The customer log as it is asked for and told: which audiences, which customers, who did it, in words.

Where events are read from is `log_events.py`'s.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from sqlalchemy import Connection

from api.audiences.cursor import decode_cursor, encode_cursor
from api.audiences.log_events import Asked, Change, Event, Sources, Trigger, events
from api.audiences.member_schemas import LogEntry, LogPage, LogQuery
from api.audiences.members import directory_of
from api.audiences.named import Named, matching, operator_names, operators_like
from api.customers.asking import Asker
from api.customers.repository import customers_by_key, one_customer
from api.customers.schemas import CustomerFilter
from api.customers.service import NO_CUSTOMER, shown
from api.errors import NotFoundError
from api.filters.evaluator import Session
from segment_engine.problems import Problem
from segment_engine.runtime.bitmaps import Bitmap, of_keys

KEPT: Final = timedelta(days=180)
"""How far back the log is told where nobody says otherwise (S003 5.1.1)."""

_FEW: Final = 1_000
_PLACE: Final = (int, int, int, int, int, int)

CHANGES: Final = {Change.ENTERED: "进入", Change.LEFT: "离开"}
TRIGGERS: Final = {
    Trigger.NIGHTLY: "每晚计算",
    Trigger.MANUAL: "手动重新计算",
    Trigger.DEFINITION: "规则变更",
    Trigger.STAFF: "员工操作",
    Trigger.BULK: "批量操作",
    Trigger.FILTER: "按条件添加",
    Trigger.IMPORT: "导入",
    Trigger.SYNC: "系统同步",
}
NO_CUSTOMER_THERE: Final = Problem(NO_CUSTOMER.code, "/query/one_id", NO_CUSTOMER.message_zh, NO_CUSTOMER.message_en)


@dataclass(frozen=True, slots=True)
class _Whom:
    """The customers that are asked about: all who are seen, or these; few: their keys where they are few."""

    among: Bitmap | None
    few: Sequence[int] | None


def log_page(session: Session, asker: Asker, store: Connection, query: LogQuery, *, now: datetime) -> LogPage:
    """One page; raises NotFoundError for a customer who is not seen, NotPermittedError for masked names."""
    after = tuple(decode_cursor(query.cursor, *_PLACE)) if query.cursor else None
    audiences = matching(
        store, audience_id=query.audience_id, group_id=query.group_id, kind=query.kind, name=query.audience_name
    )
    whom = _whom(session, asker, query)
    asked = Asked(
        audience_ids=sorted(audiences),
        since=query.since or now - KEPT,
        until=query.until,
        change=query.change,
        triggers=None if query.trigger is None else frozenset({query.trigger}),
        operators=None if query.operator is None else operators_like(store, query.operator),
        among=whom.among,
        few=whom.few,
        after=after,
    )
    nothing = not audiences or asked.operators == frozenset() or whom.few == []
    found = [] if nothing else list(islice(events(asked, sources_of(session, store)), query.limit + 1))
    page = found[: query.limit]
    return LogPage(
        entries=_entries(session, asker, store, page, audiences),
        next_cursor=encode_cursor(page[-1].place) if len(found) > query.limit else None,
    )


def sources_of(session: Session, store: Connection) -> Sources:
    """Where the log of this version is read from."""
    directory = directory_of(session)
    return Sources(store, session.cursor, directory.folder, directory.keys_now())


def _whom(session: Session, asker: Asker, query: LogQuery) -> _Whom:
    scope = asker.scope(session)
    if query.one_id is not None:
        row = one_customer(
            session.cursor, asker.sight.conditions(), asker.sight.granted(), one_id=query.one_id
        )  # fmt: skip
        if row is None:
            raise NotFoundError(NO_CUSTOMER_THERE)
        return _Whom(scope, [row["customer_key"]])
    if query.name is None:
        return _Whom(scope, None)
    conditions = asker.sight.filtered(CustomerFilter(name=query.name), "/query")
    text = f"select customer_key from {session.served.catalog.customers} where {conditions.text}"
    keys = session.cursor.execute(text, conditions.values).fetchnumpy()["customer_key"]
    among = of_keys(keys, session.opened.version.keys)
    return _Whom(among, keys.tolist() if len(keys) <= _FEW else None)


def _entries(
    session: Session, asker: Asker, store: Connection, page: Sequence[Event], audiences: Mapping[int, Named]
) -> list[LogEntry]:
    granted = asker.sight.granted()
    keys = sorted({event.customer_key for event in page})
    customers = {row["customer_key"]: shown(row, granted) for row in customers_by_key(session.cursor, granted, keys)}
    operators = operator_names(store, _operators(page))
    return [
        LogEntry(
            at=event.at,
            audience=audiences[event.audience_id].shown(),
            change=event.change,
            change_zh=CHANGES[event.change],
            trigger=event.trigger,
            trigger_zh=TRIGGERS[event.trigger],
            is_merge=event.is_merge,
            definition=event.definition,
            operator_id=event.operator,
            operator_name=operators[event.operator],
            one_id=customers[event.customer_key].one_id,
            customer_name=customers[event.customer_key].name,
            nickname=customers[event.customer_key].nickname,
        )
        for event in page
        if event.customer_key in customers
    ]


def _operators(page: Collection[Event]) -> frozenset[str]:
    return frozenset(event.operator for event in page)
