"""Shapes of the clinic routes: what comes in, what goes out."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.shapes import Choice, Day, Input
from api.storage.clinic_services import ServiceStatus

UNSET_VERSION = 1

_SINCE = "First day of this status; before it the clinic is active / 生效日期"
_UNTIL = (
    "First day on which the status no longer holds: an active clinic has ended then, an initialising one is active; "
    "not with `ended` / 失效日期(自该日起:已开通变为已到期,初始化中变为已开通)"
)


class ServiceDraft(Input):
    """What may have been sent of a service."""

    status: Choice[ServiceStatus] | None = None
    since: Day | None = None
    until: Day | None = None


class ServiceInput(Input):
    """The CDP service of a clinic as it should be."""

    status: Annotated[Choice[ServiceStatus], Field(description="CDP service / CDP 服务状态")]
    since: Annotated[Day, Field(description=_SINCE)]
    until: Annotated[Day | None, Field(description=_UNTIL)] = None


class Clinic(BaseModel):
    """One clinic of the served version, and its service today.

    `since`, `until` and `changed_at` are as they were set, null where nobody did.
    """

    clinic_id: str
    clinic_name: str
    label: str = Field(description="The name as it is offered for choosing, marked while initialising / 展示名称")
    is_headquarters: bool
    status: ServiceStatus = Field(description="The CDP service today / 今日 CDP 服务状态")
    selectable: bool = Field(description="Whether it may be chosen, in journeys for example / 是否可选")
    set_status: ServiceStatus | None = Field(description="The status as it was set, null where nobody did / 所设状态")
    since: date | None
    until: date | None
    changed_at: datetime | None
    version: int = Field(description="In quotes it is the ETag for If-Match; 1 when nobody set it / 版本号")
    source_status: str = Field(description="As the clinic software says; decides nothing here / 来源系统的开通状态")
    source_expires_on: date | None = Field(description="The same of its last day / 来源系统的到期日")


class Notice(BaseModel):
    """What pages show while clinics are initialising: a placeholder instead of them, or a banner on top."""

    kind: Literal["placeholder", "banner"]
    message_zh: str
    message_en: str


class Clinics(BaseModel):
    """The clinics at which the caller sees customers."""

    version: str
    as_of: date
    clinics: list[Clinic]
    notice: Notice | None = Field(
        description="For the pages of customers, tags, segments and journeys (客户列表、客户标签、客户分群、自动旅程)"
    )
