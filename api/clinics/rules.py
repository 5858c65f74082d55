"""What a service must be made of, how a clinic is called while it initialises, and what pages say meanwhile. Pure."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

from api.clinics.schemas import UNSET_VERSION, Clinic, Notice, ServiceDraft, ServiceInput
from api.storage.clinic_services import ClinicService, ServiceStatus
from segment_engine.problems import Problem

INITIALISING_MARK = "(CDP初始化中)"

NOTHING_AFTER_END = Problem(
    "until_not_allowed",
    "/until",
    "已到期的门诊不能填写失效日期;续期时请改为 active",
    "What has ended has no end: set `active` when the clinic is served again.",
)
ENDS_BEFORE_IT_BEGINS = Problem(
    "until_not_after_since", "/until", "失效日期应晚于生效日期", "`until` must be a later day than `since`."
)

WHOLE_CHAIN = Notice(
    kind="placeholder",
    message_zh="CDP 数据正在初始化中,初始化完成后即可使用",
    message_en="The CDP is loading its first data; this page works once that is done.",
)


def problems_of(draft: ServiceDraft | ServiceInput) -> list[Problem]:
    """All that does not fit together; of members that are not there nothing is said."""
    problems = []
    if draft.until is not None and draft.status is ServiceStatus.ENDED:
        problems.append(NOTHING_AFTER_END)
    if draft.until is not None and draft.since is not None and draft.until <= draft.since:
        problems.append(ENDS_BEFORE_IT_BEGINS)
    return problems


def problems_of_draft(members: Mapping[str, Any], _: Collection[str]) -> list[Problem]:
    """The same of a body that lacks its shape; see `api.edge.further_rules`."""
    known = {name: value for name, value in members.items() if name in ServiceDraft.model_fields}
    return problems_of(ServiceDraft.model_validate(known))


def shown(row: Mapping[str, Any], service: ClinicService | None, today: date) -> Clinic:
    """A published clinic with what was set for it."""
    status = ServiceStatus.ACTIVE if service is None else service.on(today)
    name = row["clinic_name"]
    return Clinic(
        clinic_id=row["clinic_id"],
        clinic_name=name,
        label=f"{name}{INITIALISING_MARK}" if status is ServiceStatus.INITIALISING else name,
        is_headquarters=row["is_headquarters"],
        status=status,
        selectable=status is ServiceStatus.ACTIVE,
        set_status=None if service is None else service.status,
        since=None if service is None else service.since,
        until=None if service is None else service.until,
        changed_at=None if service is None else service.changed_at,
        version=UNSET_VERSION if service is None else service.version,
        source_status=row["cdp_status"],
        source_expires_on=row["cdp_expires_on"],
    )


def notice_of(chain: Sequence[Clinic], seen: Sequence[Clinic]) -> Notice | None:
    """A placeholder while no clinic of the chain is ready, else a banner that names those which the caller sees."""
    own = [clinic for clinic in chain if not clinic.is_headquarters]
    if own and all(clinic.status is ServiceStatus.INITIALISING for clinic in own):
        return WHOLE_CHAIN
    names = [clinic.clinic_name for clinic in seen if clinic.status is ServiceStatus.INITIALISING]
    return _banner(names) if names else None


def _banner(names: Sequence[str]) -> Notice:
    zh, en = "、".join(names), ", ".join(names)
    return Notice(
        kind="banner",
        message_zh=f"以下门店的 CDP 数据正在初始化中,完成前其数据不参与筛选、标签与分群的计算:{zh}",
        message_en=f"These clinics are loading their first data and are left out of filters, tags and segments: {en}",
    )
