"""Patients' sessions `cdps_<id>_<secret>`: made at login, kept as a hash, expiring, revocable."""

import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select, update

from api.access.actors import Actor
from api.access.keys import secret_hash
from api.storage.tables.access import patient_account, patient_link, patient_session

LIFETIME = timedelta(days=30)
OWN = "本人"
_TOKEN = re.compile(r"cdps_([0-9a-f]{16})_([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Session:
    """A login that still counts: whose it is, and whom it acts for."""

    id: str
    account_id: str
    app_id: str
    openid: str
    patient_id: str | None


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session just made: the text is shown now and never again."""

    id: str
    text: str
    expires_at: datetime


def find_session(connection: Connection, text: str, *, now: datetime) -> Session | None:
    """The session of a token; None for a token that is unknown, wrong, expired or revoked."""
    match = _TOKEN.fullmatch(text)
    if match is None:
        return None
    session_id, secret = match.groups()
    row = connection.execute(
        select(
            patient_session.c.secret_hash,
            patient_session.c.patient_id,
            patient_account.c.id,
            patient_account.c.app_id,
            patient_account.c.openid,
        )
        .join(patient_account, patient_account.c.id == patient_session.c.account_id)
        .where(
            patient_session.c.id == session_id,
            patient_session.c.revoked_at.is_(None),
            patient_session.c.expires_at > now,
        )
    ).one_or_none()
    if row is None or not hmac.compare_digest(row.secret_hash, secret_hash(secret)):
        return None
    return Session(session_id, row.id, row.app_id, row.openid, row.patient_id)


def make_session(connection: Connection, account_id: str, patient_id: str | None, *, now: datetime) -> NewSession:
    """A new session of an account."""
    session_id, secret = secrets.token_hex(8), secrets.token_hex(32)
    expires_at = now + LIFETIME
    connection.execute(
        insert(patient_session).values(
            id=session_id,
            account_id=account_id,
            secret_hash=secret_hash(secret),
            patient_id=patient_id,
            created_at=now,
            expires_at=expires_at,
        )
    )
    return NewSession(session_id, f"cdps_{session_id}_{secret}", expires_at)


def revoke_session(connection: Connection, session_id: str, *, now: datetime) -> None:
    """End a session at once; ending it twice changes nothing."""
    open_session = (patient_session.c.id == session_id, patient_session.c.revoked_at.is_(None))
    connection.execute(update(patient_session).where(*open_session).values(revoked_at=now))


def linked_patients(connection: Connection, account_id: str) -> dict[str, str]:
    """Patient → relation, of whom the account may act for now; themselves first, then in the order of linking."""
    rows = connection.execute(
        select(patient_link.c.patient_id, patient_link.c.relation)
        .where(patient_link.c.account_id == account_id, patient_link.c.unlinked_at.is_(None))
        .order_by(patient_link.c.linked_at, patient_link.c.patient_id)
    ).all()
    return {row.patient_id: row.relation for row in sorted(rows, key=lambda row: row.relation != OWN)}


def session_owner(connection: Connection, session: Session) -> Actor:
    """The account as an actor, acting for the patient it chose; for the first one when that link is gone."""
    patients = tuple(linked_patients(connection, session.account_id))
    acting = session.patient_id if session.patient_id in patients else next(iter(patients), None)
    return Actor(
        kind="patient",
        id=session.account_id,
        name="patient account",
        account_id=session.account_id,
        patient_ids=patients,
        patient_id=acting,
        credential=session.id,
    )
