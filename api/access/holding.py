"""Nobody gives away what they do not hold: is a grant within the giver's own? Pure."""

from collections.abc import Iterable

from api.access.actors import Actor, Grant, Level, ScopeChannel
from api.access.permissions import ALL

_RANK = {Level.NONE: 0, Level.OWN: 1, Level.CLINIC: 2, Level.ALL: 3}


def exceeds(giver: Actor, grant: Grant, scopes: Iterable[str] | None = None) -> bool:
    """Whether the grant, narrowed by a key's scopes, gives a permission or shows customers that the giver's do not."""
    given = grant.permissions
    if scopes is not None:
        given = frozenset(scope for scope in scopes if grant.gives(scope))
    return any(not _holds(giver, permission, grant) for permission in given)


def _holds(giver: Actor, permission: str, grant: Grant) -> bool:
    if giver.scopes is not None and permission not in giver.scopes:
        return False
    # Everything includes what later versions add, so only everything is enough for it.
    own = [held for held in giver.grants if held.covers(grant.clinic_id) and _gives(held, permission)]
    return bool(own) and all(
        any(_RANK[held.level(channel)] >= _needed(grant.level(channel)) for held in own) for channel in ScopeChannel
    )


def _gives(held: Grant, permission: str) -> bool:
    return ALL in held.permissions if permission == ALL else held.gives(permission)


def _needed(level: Level) -> int:
    """Whoever is given their own customers may have them at any clinic: that is for those who see a clinic to give."""
    return _RANK[Level.CLINIC] if level is Level.OWN else _RANK[level]
