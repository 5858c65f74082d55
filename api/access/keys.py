"""API keys `cdp_<id>_<secret>`: made once, shown once, kept as a hash, narrowed, expiring, revocable."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, bindparam, insert

from api.access.actors import Actor
from api.access.owners import WITH_GRANTS, owner
from api.storage.database import Database
from api.storage.prepared import Prepared
from api.storage.tables.access import actor, api_key

_KEY = re.compile(r"cdp_([0-9a-f]{16})_([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: the text is shown to its owner now and never again."""

    id: str
    text: str


def secret_hash(secret: str) -> str:
    """What is kept of a secret of 256 random bits; such a secret needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def make_key(
    connection: Connection,
    *,
    actor_id: str,
    name: str,
    scopes: frozenset[str] | None,
    expires_at: datetime | None,
    created_by: str,
    now: datetime,
) -> NewKey:
    """A new key of an actor."""
    key_id, secret = secrets.token_hex(8), secrets.token_hex(32)
    connection.execute(
        insert(api_key).values(
            id=key_id,
            actor_id=actor_id,
            name=name,
            secret_hash=secret_hash(secret),
            scopes=None if scopes is None else sorted(scopes),
            created_at=now,
            created_by=created_by,
            expires_at=expires_at,
        )
    )
    return NewKey(key_id, f"cdp_{key_id}_{secret}")


_WITH_KEY = Prepared(
    WITH_GRANTS.add_columns(api_key.c.secret_hash, api_key.c.scopes, api_key.c.expires_at, api_key.c.revoked_at)
    .join(api_key, api_key.c.actor_id == actor.c.id)
    .where(api_key.c.id == bindparam("key_id"))
)


async def key_owner(database: Database, text: str, *, now: datetime) -> Actor | None:
    """Who the key belongs to; None for a key that is unknown, wrong, expired or revoked, or an owner who left."""
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    key_id, secret = match.groups()
    rows = await database.look_up(_WITH_KEY, {"key_id": key_id})
    key = _kept(key_id, tuple(rows)) if rows else None
    if key is None or not hmac.compare_digest(key.secret_hash, secret_hash(secret)):
        return None
    expired = key.expires_at is not None and key.expires_at <= now
    return None if expired or key.is_dead else key.owner


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the store holds of a key."""

    secret_hash: str
    expires_at: datetime | None
    is_dead: bool
    owner: Actor


@lru_cache(maxsize=1024)
def _kept(key_id: str, rows: tuple[tuple[Any, ...], ...]) -> _Kept:
    """Understood once: the store is asked with every request, and mostly answers the same."""
    decoded = [_WITH_KEY.decoded(row) for row in rows]
    first = decoded[0]
    is_dead = first.revoked_at is not None or not first.is_active
    return _Kept(first.secret_hash, first.expires_at, is_dead, owner(decoded, scopes=first.scopes, credential=key_id))
