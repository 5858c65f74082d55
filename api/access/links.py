"""Which patients an account may act for: what the mini program's bindings say, minus what was undone here.

The bindings come with every published version (`marts.patient_binding`); an account follows each version once.
"""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from api.access.erased import erased_customers
from api.storage.database import Database
from api.storage.tables.access import patient_link
from segment_engine.runtime.published import NothingPublishedError, PublishedReader

SOURCE = "source"
REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Binding:
    """The last word of the mini program on one patient of an account."""

    patient_id: str
    relation: str
    bound_at: datetime
    unbound_at: datetime | None


@dataclass(frozen=True, slots=True)
class Link:
    """The last link of an account with one patient."""

    patient_id: str
    origin: str
    linked_at: datetime
    unlinked_at: datetime | None
    unlinked_by: str | None


def changes(bindings: Iterable[Binding], links: Iterable[Link]) -> tuple[list[Binding], list[str]]:
    """What to link and whom to unlink so that links follow the bindings.

    What was undone here stays undone until the source tells of a later binding; a link made here after the source
    undid its own stays. A binding that vanished at the source takes its link along.
    """
    last = {link.patient_id: link for link in links}
    told = {binding.patient_id: binding for binding in bindings}
    opened = [
        binding
        for binding in told.values()
        if binding.unbound_at is None and _opens(binding, last.get(binding.patient_id))
    ]
    closed = [link.patient_id for link in last.values() if _closes(link, told.get(link.patient_id))]
    return opened, closed


def _opens(binding: Binding, link: Link | None) -> bool:
    if link is None:
        return True
    if link.unlinked_at is None:
        return False
    return link.unlinked_by == SOURCE or binding.bound_at > link.unlinked_at


def _closes(link: Link, binding: Binding | None) -> bool:
    if link.unlinked_at is not None:
        return False
    if binding is None:
        return link.origin == SOURCE
    return binding.unbound_at is not None and binding.unbound_at >= link.linked_at


class PatientLinks:
    """Lets the links of accounts follow the published bindings; thread-safe."""

    def __init__(self, database: Database, reader: PublishedReader) -> None:
        self._database = database
        self._reader = reader
        self._guard = threading.Lock()
        self._followed: OrderedDict[str, str] = OrderedDict()

    def follow(self, account_id: str, app_id: str, openid: str, *, now: datetime) -> None:
        """Bring the account's links up to the current version, unless that was done before.

        Without a published version, or with one that knows no bindings, links stay as they are.
        """
        try:
            with self._reader.cursor() as (cursor, pointer):
                if self._followed.get(account_id) == pointer.sha256:
                    return
                with self._database.read() as connection:
                    erased, links = erased_customers(connection), last_links(connection, account_id)
                bindings = published_bindings(cursor, app_id, openid, erased)
        except (NothingPublishedError, duckdb.CatalogException):
            return
        wanted = changes(bindings, links)
        if any(wanted):
            self._database.write(lambda connection: apply_bindings(connection, account_id, bindings, now=now))
        with self._guard:
            self._followed[account_id] = pointer.sha256
            self._followed.move_to_end(account_id)
            if len(self._followed) > REMEMBERED:
                self._followed.popitem(last=False)


def published_bindings(
    cursor: duckdb.DuckDBPyConnection, app_id: str, openid: str, erased: Sequence[str]
) -> list[Binding]:
    """What the published version says of a mini-program user's patients; nothing of erased customers (one_ids)."""
    rows = cursor.execute(
        """
        select patient_id, relation, bound_at, unbound_at
        from marts.patient_binding as bindings
        where
            app_id = $app_id
            and openid = $openid
            and not exists (
                select 1
                from marts.dim_identity as identities
                where
                    list_contains($erased::varchar[], identities.one_id)
                    and identities.identity_key in (
                        'patient:saas:' || bindings.patient_id, 'mini_program_user:' || $app_id || ':' || $openid
                    )
            )
        order by patient_id
        """,
        {"app_id": app_id, "openid": openid, "erased": list(erased)},
    ).fetchall()
    return [Binding(*row) for row in rows]


def app_of(reader: PublishedReader, openid: str) -> str | None:
    """The app that a published openid is of; None when no version, or none with bindings of it, is published."""
    try:
        with reader.cursor() as (cursor, _):
            rows = cursor.execute("select any_value(app_id) from marts.patient_binding where openid = $1", [openid])
            found = rows.fetchone()
    except (NothingPublishedError, duckdb.CatalogException):
        return None
    return None if found is None or found[0] is None else str(found[0])


def last_links(connection: Connection, account_id: str) -> list[Link]:
    """The last link of the account with each patient, open or not."""
    columns = patient_link.c
    rows = connection.execute(
        select(columns.patient_id, columns.origin, columns.linked_at, columns.unlinked_at, columns.unlinked_by)
        .where(columns.account_id == account_id)
        # An open link is the last one, whatever its moment says.
        .order_by(columns.unlinked_at.is_(None), columns.unlinked_at)
    ).mappings()
    return list({row["patient_id"]: Link(**row) for row in rows}.values())


def apply_bindings(connection: Connection, account_id: str, bindings: Sequence[Binding], *, now: datetime) -> None:
    """Link and unlink as `changes` says, looked at again inside the transaction."""
    opened, closed = changes(bindings, last_links(connection, account_id))
    for patient_id in closed:
        unlink(connection, account_id, patient_id, by=SOURCE, now=now)
    rows: list[dict[str, Any]] = [
        {
            "id": secrets.token_hex(8),
            "account_id": account_id,
            "patient_id": binding.patient_id,
            "relation": binding.relation,
            "origin": SOURCE,
            "linked_at": binding.bound_at,
        }
        for binding in opened
    ]
    if rows:
        # Another request of the same account may have been faster.
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(dialect.insert(patient_link).values(rows).on_conflict_do_nothing())


def unlink(connection: Connection, account_id: str, patient_id: str, *, by: str, now: datetime) -> bool:
    """End the open link; False when there is none. `by` is SOURCE or who undid it."""
    open_link = (
        patient_link.c.account_id == account_id,
        patient_link.c.patient_id == patient_id,
        patient_link.c.unlinked_at.is_(None),
    )
    ended = connection.execute(update(patient_link).where(*open_link).values(unlinked_at=now, unlinked_by=by))
    return ended.rowcount > 0
