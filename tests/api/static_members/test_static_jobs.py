"""Jobs that change many members: cancelled, killed and taken up again, in the wrong moment for their requester."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from api.audiences import static_job
from api.background import JOB_KINDS
from api.clock import now
from api.jobs.context import Services
from api.jobs.worker import Worker
from api.storage.tables.access import role
from api.storage.tables.audiences import audience
from api.storage.tables.audit import audit_log
from api.storage.tables.jobs import job
from tests.api.access.people import other, store_of
from tests.api.static_members.static import EVERYBODY, PIECE, TAGS, customers, make, members, post
from tests.stores import StoreSettings

Meanwhile = Callable[[int], None]
Work = Callable[..., None]


@pytest.fixture
def work(idle: TestClient, monkeypatch: pytest.MonkeyPatch) -> Work:
    """`work(meanwhile, later=timedelta())`: run one job in small pieces; `meanwhile(n)` happens before piece n."""
    state = idle.app.state  # type: ignore[attr-defined]
    chunks = static_job.in_chunks
    monkeypatch.setattr(static_job, "CHUNK", PIECE)

    def run(meanwhile: Meanwhile = lambda number: None, *, later: timedelta = timedelta()) -> None:
        def watched(*asked: Any) -> Iterator[Any]:
            for number, people in enumerate(chunks(*asked)):
                meanwhile(number)
                yield people

        monkeypatch.setattr(static_job, "in_chunks", watched)
        services = Services(state.database, state.settings, state.reader, lambda: now() + later, state.filters)
        assert Worker(JOB_KINDS, services, name="test", lease=timedelta(seconds=60)).step()

    return run


def asked(client: TestClient, tag: int, headers: dict[str, str] | None = None) -> str:
    """Where the job is that puts everybody in."""
    answer = post(client, f"/v1/tags/{tag}/members", headers, filter=EVERYBODY)
    assert answer.status_code == 202, answer.text
    return str(answer.headers["location"])


def everybody(client: TestClient) -> int:
    with client.app.state.reader.cursor() as (cursor, _):  # type: ignore[attr-defined]
        (row,) = cursor.execute("select count(*) from marts.dim_customer").fetchall()
        return int(row[0])


def told(client: TestClient, action: str) -> list[Any]:
    with store_of(client).read() as connection:
        return list(connection.scalars(select(audit_log.c.after).where(audit_log.c.action == action)))


def test_a_job_that_is_cancelled_keeps_what_was_done_and_says_so(idle: TestClient, work: Work) -> None:
    tag = make(store_of(idle))
    place = asked(idle, tag)

    def cancel(number: int) -> None:
        if number == 2:
            post(idle, f"{place}/cancel")

    work(cancel)

    ended = idle.get(place).json()
    assert (ended["status"], ended["done"]) == ("cancelled", 2 * PIECE)
    assert ended["result"] == {"added": 2 * PIECE, "already_in": 0, "not_seen": 0}
    assert len(members(store_of(idle), tag)) == 2 * PIECE
    assert told(idle, "tag.members.add") == [
        {"how": "filter", "added": 2 * PIECE, "already_in": 0, "not_seen": 0, "cancelled": True}
    ]


def test_a_job_whose_process_is_killed_is_gone_on_with_and_ends_with_the_same(
    idle: TestClient, work: Work, store: StoreSettings, tmp_path: Path
) -> None:
    database, total = store_of(idle), everybody(idle)
    tag, before = make(database), customers(idle, 3)
    post(idle, f"/v1/tags/{tag}/members", one_ids=before)
    place = asked(idle, tag)
    command = [
        sys.executable,
        "-m",
        "tests.api.static_members.dying_worker",
        str(tmp_path / "data"),
        "3",
        *store.values(),
    ]

    died = subprocess.run(command, check=False, capture_output=True)
    left_behind = len(members(database, tag))
    pieces: list[int] = []
    work(later=timedelta(minutes=2))  # finds that the lease ran out
    work(pieces.append, later=timedelta(minutes=4))

    assert died.returncode == -9, died.stderr
    assert 3 * PIECE <= left_behind < total
    ended = idle.get(place).json()
    assert (ended["status"], ended["done"], ended["total"]) == ("succeeded", total, total)
    assert ended["result"] == {"added": total - 3, "already_in": 3, "not_seen": 0}
    assert len(pieces) == -(-(total - 3 * PIECE) // PIECE)  # none of them twice
    assert len(members(database, tag)) == total
    assert [row["added"] for row in told(idle, "tag.members.add")] == [3, total - 3]


def test_a_tag_that_is_disabled_meanwhile_gets_nobody_more_and_the_job_says_why(idle: TestClient, work: Work) -> None:
    database = store_of(idle)
    tag = make(database)
    place = asked(idle, tag)
    disabling = update(audience).where(audience.c.id == tag).values(is_enabled=False)

    work(lambda number: number == 1 and database.write(lambda con: con.execute(disabling)))  # type: ignore[func-returns-value, return-value]

    ended = idle.get(place).json()
    assert (ended["status"], ended["result"]["added"]) == ("failed", PIECE)
    assert [problem["code"] for problem in ended["problems"]] == ["audience_is_disabled"]


def test_who_loses_the_permission_before_the_job_runs_changes_nothing(idle: TestClient, work: Work) -> None:
    database = store_of(idle)
    tag, headers = make(database), other(idle, permissions=TAGS)
    place = asked(idle, tag, headers)
    database.write(lambda con: con.execute(update(role).where(role.c.permissions == [*TAGS]).values(permissions=[])))

    work()

    ended = idle.get(place, headers=headers).json()
    assert (ended["status"], [problem["code"] for problem in ended["problems"]]) == ("failed", ["not_permitted"])
    assert members(database, tag) == []


def test_whoever_is_erased_while_a_job_runs_is_left_out_and_struck_from_its_list(idle: TestClient, work: Work) -> None:
    database, (a, b) = store_of(idle), customers(idle, 2)
    tag = make(database)
    asked(idle, tag)
    table = f"客户编号\n{a}\n{b}\n".encode()
    headers = {"Content-Type": "text/csv", "Idempotency-Key": "import"}
    waiting = idle.post(f"/v1/tags/{tag}/members/import", content=table, headers=headers).json()["id"]

    work(lambda number: None if number else post(idle, f"/v1/customers/{a}/erasure", reason="客户要求"))
    with database.read() as connection:
        listed = connection.execute(select(job.c.params).where(job.c.id == waiting)).scalar_one()["one_ids"]
    work()

    assert listed == [b]
    assert a not in members(database, tag)
    assert b in members(database, tag)
