"""Staff who sign in elsewhere: a JWT of the configured OpenID Connect issuer becomes a subject.

Which actor a subject is, the store says (`actor.oidc_subject`); nobody is made from a token alone.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import httpx2
import jwt
import structlog
from sqlalchemy import Connection

from api.access.actors import Actor
from api.access.owners import WITH_GRANTS, owner
from api.errors import NotReadyError
from api.storage.tables.access import actor
from segment_engine.problems import Problem

# Signatures only: never `none`, never a shared secret, whatever the token's header says.
ALGORITHMS = ("RS256", "ES256")
LEEWAY_SECONDS = 30
TIMEOUT_SECONDS = 5.0
# An issuer that is down is not asked again by every request.
DOWN_SECONDS = 5.0

ISSUER_DOWN = Problem(
    "issuer_unreachable",
    "",
    "统一身份认证服务暂不可用,请稍后重试",
    "The identity provider does not answer; try again later.",
)

log: structlog.stdlib.BoundLogger = structlog.get_logger("cdp.api")


class Issuer:
    """The issuer whose tokens are taken; its keys are fetched when first needed and kept for five minutes."""

    def __init__(self, issuer: str, audience: str, claim: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._audience = audience
        self._claim = claim
        self._clock = clock
        self._guard = threading.Lock()
        self._keys: jwt.PyJWKClient | None = None
        self._down_until = 0.0

    def subject(self, token: str) -> str | None:
        """Whom the token names; None for a token that is not the issuer's, not for us, or not valid now.

        Raises NotReadyError when the issuer's keys cannot be fetched.
        """
        key_id = self._key_id(token)
        if key_id is None:
            return None
        key = self._key(key_id)
        if key is None:
            return None
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", self._claim]},
            )
        except jwt.PyJWTError:
            return None
        subject = claims.get(self._claim)
        return subject if isinstance(subject, str) and subject else None

    def _key_id(self, token: str) -> str | None:
        """The key that the token says it was signed with; None where asking the issuer for it would be for nothing."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            return None
        key_id = header.get("kid")
        return key_id if header.get("alg") in ALGORITHMS and isinstance(key_id, str) else None

    def _key(self, key_id: str) -> jwt.PyJWK | None:
        with self._guard:
            if self._clock() < self._down_until:
                raise NotReadyError(ISSUER_DOWN)
            try:
                if self._keys is None:
                    self._keys = jwt.PyJWKClient(self._keys_address(), timeout=TIMEOUT_SECONDS)
                return self._keys.get_signing_key(key_id)
            except jwt.PyJWKClientConnectionError as error:
                self._down(error)
            except jwt.PyJWKClientError:
                return None
            except (httpx2.HTTPError, ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
                self._down(error)
        raise NotReadyError(ISSUER_DOWN)

    def _keys_address(self) -> str:
        address = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        document: Any = httpx2.get(address, timeout=TIMEOUT_SECONDS).raise_for_status().json()
        if document["issuer"] != self._issuer:
            raise ValueError("the discovery document is another issuer's")
        return str(document["jwks_uri"])

    def _down(self, error: Exception) -> None:
        self._down_until = self._clock() + DOWN_SECONDS
        log.warning("identity provider does not answer", error=type(error).__name__)


def subject_owner(connection: Connection, subject: str) -> Actor | None:
    """Who the subject is; None for a subject nobody was given, and for somebody who left."""
    rows = connection.execute(WITH_GRANTS.where(actor.c.oidc_subject == subject)).all()
    return owner(rows) if rows and rows[0].is_active else None
