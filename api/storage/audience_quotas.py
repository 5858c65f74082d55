"""How many smart tags and segments may be enabled at once (可用数量), and which are disabled when they are too many.

The platform's own (presets) do not count, nor do static ones, nor disabled ones. Purchases (增购) count through the day
on which they expire, in the tenant's zone. The API asks before it enables one; upkeep and the night disable what is too
many when a purchase has ended.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Self

from sqlalchemy import Connection, and_, func, not_, select, update

from api.storage.audience_rules import invalidate_dependants, lock_audiences
from api.storage.audiences import current_versions
from api.storage.audit_chain import add_row
from api.storage.tables.audiences import audience, audience_quota
from segment_engine.runtime.settings import SharedSettings
from segment_engine.tree import AudienceKind

SYSTEM = "quota"
"""As which the audit log knows whoever disables what is too many."""

_COUNTS = and_(
    audience.c.is_smart,
    audience.c.is_enabled,
    not_(audience.c.is_preset),
    audience.c.deleted_at.is_(None),
)


@dataclass(frozen=True, slots=True)
class Included:
    """How many of each kind every tenant has without buying more."""

    tags: int = 100
    segments: int = 50

    @classmethod
    def by(cls, settings: SharedSettings) -> Self:
        return cls(settings.smart_tag_quota, settings.smart_segment_quota)

    def of(self, kind: AudienceKind) -> int:
        return self.tags if kind is AudienceKind.TAG else self.segments


@dataclass(frozen=True, slots=True)
class Expiring:
    """How many of the usable ones end first, and the last day on which they are usable."""

    amount: int
    on: date


@dataclass(frozen=True, slots=True)
class Quota:
    """How many of a kind may be enabled and are; expiring is None where nothing was bought."""

    kind: AudienceKind
    total: int
    enabled: int
    expiring: Expiring | None

    @property
    def available(self) -> int:
        """How many more may be enabled."""
        return max(0, self.total - self.enabled)


INCLUDED = Included()


def quota_of(connection: Connection, kind: AudienceKind, *, today: date, included: Included = INCLUDED) -> Quota:
    """The quota of a kind on a day of the tenant's."""
    bought = _usable(connection, kind, today)
    counted = select(func.count()).select_from(audience).where(_COUNTS, audience.c.kind == kind.value)
    first = min((on for _, on in bought), default=None)
    expiring = None if first is None else Expiring(sum(amount for amount, on in bought if on == first), first)
    total = included.of(kind) + sum(amount for amount, _ in bought)
    return Quota(kind, total, connection.execute(counted).scalar_one(), expiring)


def is_over_quota(connection: Connection, *, today: date, included: Included = INCLUDED) -> bool:
    """Whether more are enabled than may be; a read, so that upkeep keeps nobody waiting."""
    quotas = (quota_of(connection, kind, today=today, included=included) for kind in AudienceKind)
    return any(quota.enabled > quota.total for quota in quotas)


def to_disable(enabled: Iterable[tuple[int, int, datetime]], limit: int) -> list[int]:
    """The ids, of (id, member count, created at), to be disabled until `limit` are left.

    Those with the fewest customers go first; of equally many the newest, and of equally new the highest id.
    """
    smallest = sorted(enabled, key=lambda one: (one[1], -one[2].timestamp(), -one[0]))
    return [one for one, _, _ in smallest[: max(0, len(smallest) - limit)]]


def disable_over_quota(
    connection: Connection, today: date, now: datetime, *, included: Included = INCLUDED
) -> list[int]:
    """Disable what is too many, tell of the rules that name one of them, leave an audit row; returns their ids.

    Nothing comes back by itself when there is room again: somebody decides what they want to use.
    """
    lock_audiences(connection)
    gone: list[int] = []
    for kind in AudienceKind:
        limit = quota_of(connection, kind, today=today, included=included).total
        gone += to_disable(_enabled(connection, kind), limit)
    if not gone:
        return []
    off = {"is_enabled": False, "disabled_because": "quota", "version": audience.c.version + 1, "updated_at": now}
    connection.execute(update(audience).where(audience.c.id.in_(gone)).values(**off, updated_by=f"system:{SYSTEM}"))
    invalid = invalidate_dependants(connection, gone, now=now)
    add_row(connection, _told(gone, invalid), now=now)
    return gone


def _usable(connection: Connection, kind: AudienceKind, today: date) -> list[tuple[int, date]]:
    """(amount, last day) of the purchases that count."""
    rows = connection.execute(
        select(audience_quota.c.amount, audience_quota.c.expires_on).where(
            audience_quota.c.kind == kind.value,
            audience_quota.c.revoked_at.is_(None),
            audience_quota.c.expires_on >= today.isoformat(),
        )
    )
    return [(row.amount, date.fromisoformat(row.expires_on)) for row in rows]


def _enabled(connection: Connection, kind: AudienceKind) -> list[tuple[int, int, datetime]]:
    """(id, member count, created at) of those that count; one that was never calculated has nobody."""
    rows = connection.execute(
        select(audience.c.id, audience.c.created_at).where(_COUNTS, audience.c.kind == kind.value)
    )
    found = {row.id: row.created_at for row in rows}
    versions = current_versions(connection, found)
    counts = {one: version.member_count for one, version in versions.items()}
    return [(one, counts.get(one, 0), created_at) for one, created_at in found.items()]


def _told(gone: list[int], invalid: list[int]) -> dict[str, Any]:
    """The audit row, which is the platform's own."""
    return {
        "actor_kind": "system",
        "actor_id": SYSTEM,
        "actor_name": SYSTEM,
        "action": "audience_quota.disable",
        "target_kind": "audience_quota",
        "target_id": "",
        "before": None,
        "after": {"disabled": gone, "invalid": invalid},
        "request_id": None,
        "address": None,
    }
