"""`/v1/outbox`: what operators see of the messages, without their texts."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, Field

from api.access.guard import CurrentActor, require_headquarters, requires
from api.access.permissions import Permission
from api.dependencies import Store
from api.edge.prefix_router import PrefixRouter
from api.keyset import Page, Place
from api.outbox.kinds import Delivery
from api.outbox.messages import messages
from api.outbox.rules import Status
from api.shapes import Choice

router = PrefixRouter(prefix="/v1/outbox", tags=["operations"])


class OutboxQuery(Page):
    """Which messages are asked for."""

    status: Annotated[Choice[Status] | None, Field(description="Only messages in this state / 消息状态")] = None


class OutboxMessage(BaseModel):
    """One message; what it says is not shown."""

    id: str
    kind: str
    delivery: Delivery
    dedupe_key: str
    subject: str | None
    status: Status
    reason: str | None
    attempts: int
    due_at: datetime
    created_at: datetime
    sent_at: datetime | None


class OutboxPage(BaseModel):
    """One page, newest messages first; `next_cursor` is null on the last page."""

    messages: list[OutboxMessage]
    next_cursor: str | None


@router.get("")
@requires(Permission.AUDIT_VIEW)
def list_messages(query: Annotated[OutboxQuery, Query()], actor: CurrentActor, store: Store) -> OutboxPage:
    """Messages and events that leave the platform, for headquarters / 待发与已发消息(总部)."""
    require_headquarters(actor, Permission.AUDIT_VIEW)
    after = None if query.cursor is None else Place.decode(query.cursor)
    with store.read() as connection:
        rows = messages(connection, status=query.status, after=after, limit=query.limit + 1)
    page = [OutboxMessage.model_validate(row) for row in rows[: query.limit]]
    last = page[-1] if len(rows) > query.limit else None
    return OutboxPage(messages=page, next_cursor=Place(last.created_at, last.id).encode() if last else None)
