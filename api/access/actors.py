"""Somebody who is known: what they may do, and whose customers each permission reaches. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from api.access.permissions import ALL, Permission
from api.caller import Caller, CallerKind

EVERY_CLINIC = "*"


class Level(StrEnum):
    """Whose customers of a channel a role reaches (数据权限), from none to all."""

    NONE = "none"
    OWN = "own"
    CLINIC = "clinic"
    ALL = "all"


class ScopeChannel(StrEnum):
    """The channels that a role's data permission is set for (S003 3.4)."""

    PATIENT = "patient"
    OFFICIAL_ACCOUNT = "official_account"
    MINI_PROGRAM = "mini_program"
    WECOM = "wecom"
    LEAD = "lead"


@dataclass(frozen=True, slots=True)
class Grant:
    """One role at one clinic, or at every clinic (headquarters)."""

    role_id: str
    clinic_id: str
    permissions: frozenset[str]
    data_scope: Mapping[ScopeChannel, Level]

    def gives(self, permission: str) -> bool:
        return ALL in self.permissions or permission in self.permissions

    def covers(self, clinic_id: str) -> bool:
        """Whether it holds at the clinic; what holds at headquarters holds everywhere."""
        return self.clinic_id in (EVERY_CLINIC, clinic_id)

    def level(self, channel: ScopeChannel) -> Level:
        """Whose customers of the channel it reaches; the clinic of headquarters is every clinic."""
        level = self.data_scope.get(channel, Level.NONE)
        return Level.ALL if level is Level.CLINIC and self.clinic_id == EVERY_CLINIC else level


@dataclass(frozen=True, slots=True)
class Reach:
    """Customers of one channel: all of them, those of one clinic, or those this staff member looks after (there)."""

    channel: ScopeChannel
    level: Level
    clinic_id: str | None = None
    staff_id: str | None = None

    def is_within(self, others: "frozenset[Reach]") -> bool:
        """Whether one of the others reaches all of these customers by itself."""
        wider = (Reach(self.channel, Level.ALL), Reach(self.channel, Level.CLINIC, clinic_id=self.clinic_id))
        return self in others or any(one in others for one in wider)


@dataclass(frozen=True, slots=True)
class Actor:
    """A staff member, a machine client, or a patient's account.

    `scopes` narrow a key to some permissions. Of a patient: `account_id` is the WeChat account, `patient_ids` whom it
    may act for, `patient_id` whom it acts for now (就诊人).
    """

    kind: CallerKind
    id: str
    name: str
    staff_id: str | None = None
    grants: tuple[Grant, ...] = ()
    scopes: frozenset[str] | None = None
    account_id: str | None = None
    patient_ids: tuple[str, ...] = ()
    patient_id: str | None = None
    credential: str = field(default="", repr=False)

    def may(self, permission: Permission) -> bool:
        """Whether any role gives the permission and the key does not take it away; absent is denied."""
        if self.scopes is not None and permission not in self.scopes:
            return False
        return any(grant.gives(permission) for grant in self.grants)

    def clinics(self, permission: Permission) -> frozenset[str]:
        """The clinics at which the permission is held; EVERY_CLINIC among them is headquarters."""
        if not self.may(permission):
            return frozenset()
        return frozenset(grant.clinic_id for grant in self.grants if grant.gives(permission))

    def reaches(self, permission: Permission) -> frozenset[Reach]:
        """Whose customers the permission reaches; empty is nobody's."""
        return frozenset(self._reaches(permission)) if self.may(permission) else frozenset()

    def reaches_everybody(self, permission: Permission) -> bool:
        """Whether the permission reaches every customer of every channel."""
        return {Reach(channel, Level.ALL) for channel in ScopeChannel} <= self.reaches(permission)

    def covers(self, permission: Permission, other: Permission) -> bool:
        """Whether the one permission reaches everybody whom the other one reaches; somebody, at least."""
        mine, theirs = self.reaches(permission), self.reaches(other)
        return bool(mine) and all(reach.is_within(mine) for reach in theirs)

    def caller(self, request_id: str | None, address: str | None) -> Caller:
        return Caller(self.kind, self.id, self.name, request_id, address)

    def _reaches(self, permission: Permission) -> Iterator[Reach]:
        for grant in self.grants:
            if not grant.gives(permission):
                continue
            for channel in ScopeChannel:
                level = grant.level(channel)
                if level is Level.ALL:
                    yield Reach(channel, Level.ALL)
                elif level is Level.CLINIC:
                    yield Reach(channel, Level.CLINIC, clinic_id=grant.clinic_id)
                elif level is Level.OWN and self.staff_id is not None:
                    clinic = None if grant.clinic_id == EVERY_CLINIC else grant.clinic_id
                    yield Reach(channel, Level.OWN, clinic_id=clinic, staff_id=self.staff_id)
