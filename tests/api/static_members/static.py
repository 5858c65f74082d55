"""Static tags and segments to test with, written as rows, and what their tests ask of the API and the store."""

import itertools
import time
from datetime import datetime
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import Connection, insert, select

from api.access.actors import Level, ScopeChannel
from api.access.permissions import Permission
from api.clock import now
from api.storage.audience_members import static_members
from api.storage.audiences import Calculation, NewVersion, commit_versions
from api.storage.database import Database
from api.storage.tables.audiences import audience, audience_definition, audience_member, tag_group
from segment_engine.runtime.memberships import Difference, Membership, write_memberships
from segment_engine.runtime.version import customers_of
from tests.api.access.people import once

_NUMBER = itertools.count(1)
TAGS = (Permission.CUSTOMER_VIEW, Permission.CUSTOMER_TAG)
PIECE = 100  # customers in a transaction, where a test makes jobs work in small pieces
OF_CLINIC = dict.fromkeys(ScopeChannel, Level.CLINIC)
EVERYBODY = {"combinator": "and", "rules": [{"kind": "everyone"}]}


def make(database: Database, kind: str = "tag", **values: Any) -> int:
    """The id of a new one: static and enabled unless told otherwise."""
    number, made = next(_NUMBER), now()

    def work(connection: Connection) -> int:
        group_id = None
        if kind == "tag":
            group = {"is_smart": False, "name": f"组{number}", "position": number, "is_default": False, "version": 1}
            stamps = {"created_at": made, "created_by": "test", "updated_at": made}
            group_id = connection.execute(insert(tag_group).values(**group, **stamps)).inserted_primary_key[0]
        row = {
            "kind": kind, "is_smart": False, "group_id": group_id, "name": f"名{number}", "description": "",
            "color": "#FF8800", "position": 0, "is_enabled": True, "is_preset": False, "revision": 1, "version": 1,
            "created_at": made, "created_by": "test", "updated_at": made, "updated_by": "test", **values,
        }  # fmt: skip
        return int(connection.execute(insert(audience).values(row)).inserted_primary_key[0])

    return database.write(work)


def members(database: Database, audience_id: int, at: datetime | None = None) -> list[str]:
    """Who is in, sorted."""
    with database.read() as connection:
        return sorted(static_members(connection, [audience_id], at=at)[audience_id])


def rows_of(database: Database, audience_id: int) -> list[Any]:
    """All rows of its members, oldest first."""
    query = select(audience_member).where(audience_member.c.audience_id == audience_id).order_by(audience_member.c.id)
    with database.read() as connection:
        return list(connection.execute(query))


def revision(database: Database, audience_id: int) -> int:
    with database.read() as connection:
        return int(connection.execute(select(audience.c.revision).where(audience.c.id == audience_id)).scalar_one())


def customers(client: TestClient, count: int, **query: Any) -> list[str]:
    """The first so many customers whom the caller sees."""
    page = client.get("/v1/customers", params={"limit": count, **query}).json()
    return [one["one_id"] for one in page["customers"]]


def post(client: TestClient, place: str, headers: dict[str, str] | None = None, **body: Any) -> Any:
    return client.post(place, json=body, headers={**once(), **(headers or {})})


def job_of(client: TestClient, answer: Any, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """The job that an answer began, once it has ended."""
    assert answer.status_code == 202, answer.text
    deadline = time.monotonic() + 30
    while True:
        job: dict[str, Any] = client.get(answer.headers["location"], headers=headers).json()
        if job["status"] not in ("queued", "running"):
            return job
        assert time.monotonic() < deadline
        time.sleep(0.02)


def make_smart(database: Database) -> int:
    """A smart tag with a published definition, not calculated yet."""
    smart = make(database, is_smart=True, definition=1)
    rule = {"audience_id": smart, "number": 1, "filter": EVERYBODY, "note": "", "created_at": now(), "created_by": "x"}
    database.write(lambda connection: connection.execute(insert(audience_definition).values(rule)))
    return smart


def calculated(client: TestClient, audience_id: int, one_ids: list[str]) -> None:
    """Let these customers be whom a smart one meant when it was calculated last."""
    state: Any = client.app.state  # type: ignore[attr-defined]
    with state.reader.cursor() as (cursor, pointer):
        found = customers_of(cursor, state.catalogs.of(pointer), one_ids, 1 << 16)
    nobody = found.keys()[:0]
    membership = Membership(audience_id, found, Difference(found.keys(), nobody, nobody))
    file = write_memberships(state.settings.folders.audiences, [membership], now=now())
    version = NewVersion(audience_id, 0, 1, len(found), len(found), 0, file)
    calculation = Calculation(pointer.version, pointer.as_of, now(), "manual", "test")
    state.database.write(lambda connection: commit_versions(connection, [version], calculation))
