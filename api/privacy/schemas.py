"""Shapes of the consent and erasure routes."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.shapes import Choice, Input, QueryInt, Text

MAX_PAGE = 200


class Purpose(StrEnum):
    """What a consent is for: marketing messages (营销触达), being shown in public (公开展示,如评价上墙)."""

    MARKETING = "marketing"
    PUBLIC_DISPLAY = "public_display"


class ConsentSource(StrEnum):
    """How the customer told us."""

    IN_PERSON = "in_person"
    PAPER = "paper"
    PHONE = "phone"
    MINI_PROGRAM = "mini_program"
    WECOM = "wecom"


class ConsentChange(Input):
    """A consent given or withdrawn."""

    granted: bool = Field(description="True: given; false: refused or withdrawn / 是否同意")
    source: Choice[ConsentSource] = Field(description="How the customer told us / 授权来源")


class Consent(BaseModel):
    """One purpose; `granted` is null when the customer was never asked, which is no consent."""

    purpose: Purpose
    granted: bool | None
    source: ConsentSource | None
    changed_by: str | None
    changed_at: datetime | None
    version: int = Field(description="In quotes it is the ETag for If-Match; 1 when never asked / 版本号")


class Consents(BaseModel):
    """Every purpose of one customer."""

    one_id: str
    consents: list[Consent]


class ErasureOrder(Input):
    """Why a customer is to be forgotten."""

    reason: Annotated[str, Text(1, 200)] = Field(description="Kept in the audit log; name nobody in it / 删除原因")


class Erasure(BaseModel):
    """A request to forget somebody: hidden from everybody at once, gone from every file with the next nightly run."""

    id: str
    status: Literal["requested", "applied"]
    reason: str
    requested_by: str
    requested_at: datetime
    applied_at: datetime | None


class ErasureQuery(Input):
    """A page of erasures."""

    limit: Annotated[int, QueryInt(1, MAX_PAGE)] = 50
    after: Annotated[str, Text(1, 64)] | None = Field(default=None, description="Last `id` seen / 上一页末条")


class Erasures(BaseModel):
    """Newest first; `next_after` is null on the last page."""

    erasures: list[Erasure]
    next_after: str | None
