"""From the text of a credential to an actor: an API key, a patient's session, or a token of the OIDC issuer."""

from dataclasses import dataclass
from datetime import datetime

from fastapi.concurrency import run_in_threadpool

from api.access.actors import Actor
from api.access.keys import key_owner
from api.access.last_used import LastUsed
from api.access.links import PatientLinks
from api.access.oidc import Issuer, subject_owner
from api.access.sessions import find_session, session_owner
from api.storage.database import Database

KEY_PREFIX, SESSION_PREFIX = "cdp_", "cdps_"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Everything that it takes to know who is asking; `issuer` is None where no OIDC is configured."""

    database: Database
    last_used: LastUsed
    links: PatientLinks
    issuer: Issuer | None

    async def actor(self, text: str, *, now: datetime) -> Actor | None:
        """Who holds the credential; None for one that is unknown, wrong, expired or revoked.

        Raises NotReadyError when the issuer does not answer, StoreBusyError when the store does not.
        """
        if text.startswith(KEY_PREFIX):
            return await self._of_key(text, now)
        if text.startswith(SESSION_PREFIX):
            return await run_in_threadpool(self._of_session, text, now)
        return None if self.issuer is None else await run_in_threadpool(self._of_token, text)

    async def _of_key(self, text: str, now: datetime) -> Actor | None:
        actor = await key_owner(self.database, text, now=now)
        if actor is not None:
            self.last_used.note("key", actor.credential, now)
        return actor

    def _of_session(self, text: str, now: datetime) -> Actor | None:
        with self.database.read() as connection:
            session = find_session(connection, text, now=now)
        if session is None:
            return None
        self.links.follow(session.account_id, session.app_id, session.openid, now=now)
        self.last_used.note("session", session.id, now)
        with self.database.read() as connection:
            return session_owner(connection, session)

    def _of_token(self, text: str) -> Actor | None:
        assert self.issuer is not None
        subject = self.issuer.subject(text)
        if subject is None:
            return None
        with self.database.read() as connection:
            return subject_owner(connection, subject)
