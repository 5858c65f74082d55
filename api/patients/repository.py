"""Rows of patients' accounts and sessions, and the names of patients in the published version."""

import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import duckdb
from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from api.storage.tables.access import patient_account, patient_session


def keep_account(connection: Connection, app_id: str, openid: str, unionid: str | None, *, now: datetime) -> str:
    """The id of the user's account, made at the first login; two logins at once find one account."""
    row = {
        "id": f"account_{secrets.token_hex(8)}",
        "app_id": app_id,
        "openid": openid,
        "unionid": unionid,
        "created_at": now,
        "last_login_at": now,
    }
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    known: dict[str, Any] = {"last_login_at": now, **({} if unionid is None else {"unionid": unionid})}
    claim = dialect.insert(patient_account).values(row)
    connection.execute(claim.on_conflict_do_update(index_elements=["app_id", "openid"], set_=known))
    place = (patient_account.c.app_id == app_id, patient_account.c.openid == openid)
    return str(connection.execute(select(patient_account.c.id).where(*place)).scalar_one())


def switch_patient(connection: Connection, session_id: str, patient_id: str) -> None:
    """The session acts for this patient from now on."""
    connection.execute(update(patient_session).where(patient_session.c.id == session_id).values(patient_id=patient_id))


def patient_names(cursor: duckdb.DuckDBPyConnection, patient_ids: Iterable[str]) -> dict[str, str | None]:
    """Patient → name of the person, as far as the published version knows them."""
    rows = cursor.execute(
        """
        select identities.source_id, customers.name
        from marts.dim_identity as identities
        inner join marts.dim_customer as customers using (customer_key)
        where identities.kind = 'patient' and list_contains($patient_ids::varchar[], identities.source_id)
        """,
        {"patient_ids": list(patient_ids)},
    ).fetchall()
    return dict(rows)
