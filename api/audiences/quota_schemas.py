"""Shapes of quotas and purchases (可用数量, 增购)."""

from datetime import date, datetime
from typing import Annotated

from pydantic import BaseModel, Field

from api.keyset import Page
from api.shapes import Choice, Day, Input, Text
from segment_engine.tree import AudienceKind

MAX_AMOUNT = 10_000


class ExpiringShown(BaseModel):
    """How many of the usable ones end first, and the last day on which they are usable."""

    amount: int
    on: date


class QuotaShown(BaseModel):
    """How many smart ones of a kind may be enabled and are; the message is the prompt on top of the page."""

    total: int
    enabled: int
    available: int
    expiring: ExpiringShown | None
    message_zh: str
    message_en: str


class Quotas(BaseModel):
    """The quotas of the tenant."""

    tags: QuotaShown
    segments: QuotaShown


class NewPurchase(Input):
    """More smart tags or segments, usable at once and through a day."""

    kind: Choice[AudienceKind]
    amount: Annotated[int, Field(ge=1, le=MAX_AMOUNT, description="How many more / 增购数量")]
    expires_on: Annotated[Day, Field(description="The last day on which they are usable / 到期日")]
    note: Annotated[str, Text(0, 500, lines=True), Field(description="Contract, order / 备注")] = ""


class Purchase(BaseModel):
    """A purchase as it is kept; `is_usable` until its last day is over or it is revoked."""

    id: int
    kind: AudienceKind
    amount: int
    expires_on: date
    note: str
    is_usable: bool
    created_at: datetime
    created_by: str
    revoked_at: datetime | None


class Revoked(Purchase):
    """A purchase that was taken back, and what was disabled since it was too many without it."""

    disabled: list[int]


class PurchasePage(BaseModel):
    """Newest first; `next_cursor` is null on the last page."""

    purchases: list[Purchase]
    next_cursor: str | None


class PurchaseQuery(Page):
    """Which part of the purchases."""
