"""The roles that every chain starts with, as the clinic software names them; each chain edits them to its liking.

Which permission points there are is said in `api.access.permissions` (S000 2.2.4, 2.11; S003 3.4).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from api.access.actors import Level, ScopeChannel
from api.access.permissions import ALL, Permission
from api.storage.tables.access import role

COMPANY_ADMIN = "company_admin"


@dataclass(frozen=True, slots=True)
class BuiltinRole:
    """A role before anybody edited it: names, permission points, whose customers it sees on every channel."""

    id: str
    name_zh: str
    name_en: str
    permissions: tuple[str, ...]
    level: Level
    leads: Level | None = None

    @property
    def columns(self) -> dict[str, Any]:
        """What is stored of it."""
        scope = {channel.value: self.level.value for channel in ScopeChannel}
        if self.leads is not None:
            scope[ScopeChannel.LEAD.value] = self.leads.value
        return {
            "name_zh": self.name_zh,
            "name_en": self.name_en,
            "permissions": sorted(self.permissions),
            "data_scope": scope,
        }

    def is_as(self, stored: Mapping[str, Any]) -> bool:
        return all(stored[name] == value for name, value in self.columns.items())


_SEES = (Permission.CUSTOMER_VIEW, Permission.CUSTOMER_NAME_VIEW)
# Whoever talks to customers meets those who are two, or somebody else.
_CALLS = (*_SEES, Permission.CUSTOMER_PHONE_VIEW, Permission.IDENTITY_VIEW, Permission.CUSTOMER_TAG)
_FOLLOWS_CHECKINS = (Permission.CHECKIN_VIEW, Permission.CHECKIN_MAKE_UP)

BUILTIN_ROLES = (
    BuiltinRole(COMPANY_ADMIN, "公司管理员", "Company admin", (ALL,), Level.ALL),
    BuiltinRole("clinic_admin", "诊所管理员", "Clinic admin", (ALL,), Level.CLINIC),
    BuiltinRole(
        "doctor",
        "医生",
        "Doctor",
        (
            *_SEES,
            Permission.CUSTOMER_TAG,
            Permission.CHECKIN_VIEW,
            Permission.CHECKIN_EVALUATE,
            Permission.REVIEW_VIEW,
        ),
        Level.OWN,
        Level.NONE,
    ),
    BuiltinRole("nurse", "护士", "Nurse", (*_SEES, Permission.CHECKIN_VIEW), Level.CLINIC, Level.NONE),
    BuiltinRole(
        "dental_assistant", "牙医助理", "Dental assistant", (*_SEES, Permission.CHECKIN_VIEW), Level.CLINIC, Level.NONE
    ),
    BuiltinRole(
        "consultant",
        "咨询师",
        "Consultant",
        (
            *_CALLS,
            *_FOLLOWS_CHECKINS,
            Permission.CUSTOMER_CONSENT_EDIT,
            Permission.REVIEW_VIEW,
            Permission.COUPON_TRANSFER,
        ),
        Level.OWN,
    ),
    BuiltinRole(
        "online_consultant",
        "网电咨询师",
        "Online consultant",
        (*_CALLS, Permission.CUSTOMER_CONSENT_EDIT),
        Level.OWN,
        Level.CLINIC,
    ),
    BuiltinRole(
        "customer_service",
        "客服",
        "Customer service",
        (
            *_CALLS,
            *_FOLLOWS_CHECKINS,
            Permission.CUSTOMER_CONSENT_EDIT,
            Permission.CUSTOMER_MESSAGE,
            Permission.REVIEW_VIEW,
            Permission.REVIEW_REPLY,
            Permission.COUPON_TRANSFER,
        ),
        Level.OWN,
    ),
    BuiltinRole("receptionist", "前台", "Receptionist", (*_CALLS, Permission.CUSTOMER_CONSENT_EDIT), Level.CLINIC),
    BuiltinRole(
        "marketer",
        "市场",
        "Marketer",
        (
            Permission.CUSTOMER_VIEW,
            Permission.CUSTOMER_EXPORT,
            Permission.CUSTOMER_TAG,
            Permission.CUSTOMER_MESSAGE,
            Permission.DASHBOARD_VIEW,
            Permission.CHECKIN_VIEW,
            Permission.REVIEW_VIEW,
            Permission.REVIEW_MANAGE,
            Permission.REWARD_MANAGE,
            Permission.TAG_MANAGE,
            Permission.SEGMENT_MANAGE,
        ),
        Level.CLINIC,
    ),
    BuiltinRole(
        "analyst",
        "数据分析师",
        "Analyst",
        (Permission.CUSTOMER_VIEW, Permission.DASHBOARD_VIEW, Permission.CHECKIN_VIEW, Permission.REVIEW_VIEW),
        Level.CLINIC,
    ),
)


def ensure_builtin_roles(connection: Connection, now: datetime) -> None:
    """Insert what is missing and bring up to date what nobody edited; idempotent, also between processes.

    A role that was edited (version above 1) stays as it is; so does a role of the chain's own with one of our names.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    for builtin, is_stored in outdated_roles(connection):
        if is_stored:
            unedited = (role.c.id == builtin.id, role.c.version == 1)
            connection.execute(update(role).where(*unedited).values(**builtin.columns, updated_at=now))
            continue
        row = {"id": builtin.id, "is_builtin": True, "version": 1, "created_at": now, "updated_at": now}
        connection.execute(dialect.insert(role).values(**row, **builtin.columns).on_conflict_do_nothing())


def outdated_roles(connection: Connection) -> list[tuple[BuiltinRole, bool]]:
    """The roles that are missing (False) or stored as an earlier version of this program meant them (True)."""
    ours = select(role).where(role.c.id.in_([builtin.id for builtin in BUILTIN_ROLES]))
    stored = {row["id"]: dict(row) for row in connection.execute(ours).mappings()}
    return [
        (builtin, builtin.id in stored)
        for builtin in BUILTIN_ROLES
        if builtin.id not in stored or (stored[builtin.id]["version"] == 1 and not builtin.is_as(stored[builtin.id]))
    ]
