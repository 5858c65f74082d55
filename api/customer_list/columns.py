"""The columns of the customer list (自定义列): which there are, what they are called, what can be sorted by. Pure."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from api.access.actors import Actor
from api.access.masking import may_use_raw

ALWAYS_PINNED: Final = ("nickname", "name")
"""Whoever they are shows in every row (S003 3.1)."""


@dataclass(frozen=True, slots=True)
class ListColumn:
    """One column; it has the name of the customer's member that it shows.

    kind: of its values, None where nobody sorts by it; beside: another member that it shows
    """

    label_zh: str
    label_en: str
    kind: type[str | date | datetime] | None = str
    beside: str | None = None


COLUMNS: Final = {
    "nickname": ListColumn("头像昵称", "Picture and nickname", beside="avatar_url"),
    "name": ListColumn("姓名", "Name"),
    "last_visit_at": ListColumn("上次就诊时间", "Last visit", datetime),
    "birth_date": ListColumn("生日", "Birthday", date),
    "city": ListColumn("城市", "City"),
    "gender": ListColumn("性别", "Gender"),
    "phone": ListColumn("手机号码", "Phone"),
    "medical_record_no": ListColumn("病历号", "Medical record number"),
    "clinic_name": ListColumn("所属机构", "Home clinic", beside="clinic_id"),
    "patient_type": ListColumn("患者类型", "Patient type"),
    "source_level_1": ListColumn("来源一级", "Source, level 1"),
    "source_level_2": ListColumn("来源二级", "Source, level 2"),
    "source_level_3": ListColumn("来源三级", "Source, level 3"),
    "first_visit_at": ListColumn("初诊时间", "First visit", datetime),
    "patient_remark": ListColumn("患者备注", "Patient remark"),
    "online_consultant_name": ListColumn("网电咨询师", "Online consultant"),
    "consultant_name": ListColumn("咨询师", "Consultant"),
    "last_visit_doctor_name": ListColumn("上次就诊医生", "Doctor of the last visit"),
    "responsible_doctor_name": ListColumn("责任医生", "Responsible doctor"),
    "customer_service_name": ListColumn("专属客服", "Customer service"),
    "id_number": ListColumn("证件号码", "ID number"),
    "channels": ListColumn("客户身份", "Channels", kind=None),
    "created_at": ListColumn("创建时间", "Created", datetime),
}
"""All of S003 3.1, then what else the list knows."""

# mypy cannot read members off a table.
ColumnName = StrEnum("ColumnName", {name.upper(): name for name in COLUMNS})  # type: ignore[misc]
SortName = StrEnum("SortName", {name.upper(): name for name, one in COLUMNS.items() if one.kind})  # type: ignore[misc]


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns in order: those that stay in sight, and those that scroll."""

    pinned: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, in order."""
        return (*self.pinned, *self.others)


DEFAULT: Final = Layout(ALWAYS_PINNED, ("phone", "gender", "clinic_name", "channels", "last_visit_at", "created_at"))


def fields_of(names: tuple[str, ...]) -> frozenset[str]:
    """The members of a customer that these columns show."""
    beside = (COLUMNS[name].beside for name in names)
    return frozenset((*names, *(one for one in beside if one is not None)))


def still_known(layout: Layout) -> Layout:
    """What is left of a layout that another release may have written."""
    return Layout(
        tuple(name for name in layout.pinned if name in COLUMNS),
        tuple(name for name in layout.others if name in COLUMNS),
    )


def sorts_by(actor: Actor, name: str) -> bool:
    """Whether the caller may sort by a column: its own value is shown, of some customers at least."""
    return COLUMNS[name].kind is not None and may_use_raw(actor, name)
