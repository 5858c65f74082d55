"""Shapes of the override routes."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from api.keyset import Page
from api.shapes import Choice, Input, QueryBool, Text
from api.storage.overrides import OverrideKind

Key = Annotated[str, Text(1, 300)]
Reason = Annotated[str, Text(1, 500)]


class ValueType(StrEnum):
    """What kind of value ties identities together (身份匹配依据)."""

    PHONE = "phone"
    UNIONID = "unionid"
    BINDING = "binding"


class Members(Input):
    """What a decision is about; which members it needs goes by its kind."""

    key: Annotated[Key | None, Field(description="Identity key like `patient:saas:P000123` / 身份键")] = None
    other_key: Annotated[Key | None, Field(description="The other identity / 另一身份键")] = None
    value_type: Annotated[Choice[ValueType] | None, Field(description="Kind of value / 取值类型")] = None
    value: Annotated[
        Annotated[str, Text(1, 300)] | None,
        Field(description="Phone in any spelling, unionid, or the patient file bound to / 取值"),
    ] = None
    value_ref: Annotated[
        Annotated[str, Text(1, 64)] | None,
        Field(description="`value_ref` of a review, also for who sees the value masked / 待审核取值的引用"),
    ] = None


class NewOverride(Members):
    """A decision; which members it needs goes by its kind.

    `merge`, `split`: `key`, `other_key`. `detach`: `key`, `value_type`, `value`. `owner`: `key` of a patient file,
    `value_type` `phone`, `value`. `block`: `value_type` `phone` or `unionid`, `value`. `allow`: `phone`, `value`.
    Instead of `value`, `value_ref` may name a value of a review queue.
    """

    kind: Choice[OverrideKind]
    reason: Annotated[Reason, Field(description="Why, for colleagues / 原因")]


class OverridePreview(Members):
    """A decision as `NewOverride` has it, its reason left out or not; or nothing but `revoke`, the id of one."""

    kind: Choice[OverrideKind] | None = None
    reason: Annotated[Reason | None, Field(description="Not looked at / 不使用")] = None
    revoke: Annotated[
        Annotated[str, Text(1, 64)] | None, Field(description="Show what revoking it would do / 预览撤销")
    ] = None


class Revocation(Input):
    """Why a decision no longer holds."""

    reason: Annotated[Reason, Field(description="Why, for colleagues / 撤销原因")]


class Override(BaseModel):
    """A decision as it is kept; the value is masked for who may not see phones. The version is also its ETag."""

    id: str
    kind: OverrideKind
    key: str | None
    other_key: str | None
    value_type: ValueType | None
    value: str | None
    reason: str
    operator: str
    valid_from: datetime = Field(description="In force from the night of this day on / 生效时间")
    in_force: bool
    revoked_at: datetime | None
    revoked_by: str | None
    revoke_reason: str | None
    version: int


class OverrideQuery(Page):
    """Which decisions; all that is given must fit."""

    kind: Annotated[Choice[OverrideKind] | None, Field(description="Only of this kind / 类型")] = None
    in_force: Annotated[QueryBool | None, Field(description="Only standing, or only revoked ones / 是否生效")] = None
    key: Annotated[Key | None, Field(description="Only about this identity / 身份键")] = None


class OverridePage(BaseModel):
    """Newest first; `next_cursor` is null on the last page."""

    overrides: list[Override]
    next_cursor: str | None
