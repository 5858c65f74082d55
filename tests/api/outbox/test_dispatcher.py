"""Messages on their way out: once, or at least once, as their kind says."""

import contextlib
import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, select, update

from api.clock import now
from api.outbox import kinds
from api.outbox.dispatcher import Dispatcher
from api.outbox.kinds import JOB_FINISHED, Delivery, MessageKind
from api.outbox.messages import Message, enqueue
from api.outbox.rules import MAX_ATTEMPTS
from api.outbox.transports import ConsoleTransport, FileTransport, NotSentError
from api.storage.database import Database, StoreBusyError
from api.storage.insist import ATTEMPTS
from api.storage.tables.outbox import outbox
from tests.api.conftest import MakeClient
from tests.at_once import at_once

ONCE = MessageKind("test.once", Delivery.AT_MOST_ONCE, "最多一次", "At most once.")
AGAIN = MessageKind("test.again", Delivery.AT_LEAST_ONCE, "至少一次", "At least once.")
KINDS = pytest.mark.parametrize("kind", [ONCE, AGAIN])


class Killed(BaseException):
    """The process ends here."""


class Recording:
    """A transport that notes what it was given, and then does what the test says."""

    def __init__(self, then: BaseException | None = None) -> None:
        self.given: list[str] = []
        self.then = then

    def send(self, message: Message, *, now: datetime) -> None:
        self.given.append(message.dedupe_key)
        if self.then is not None:
            raise self.then


def put(database: Database, kind: MessageKind, key: str = "k", **payload: Any) -> bool:
    def work(connection: Connection) -> bool:
        return enqueue(connection, kind, dedupe_key=key, payload=payload, subject=None, due_at=now(), now=now())

    return database.write(work)


def dispatcher(database: Database, transport: Any, name: str = "one") -> Dispatcher:
    return Dispatcher(database, transport, worker=name, clock=now)


def time_passes(database: Database) -> None:
    """As if an hour had gone by: leases have run out, delays too."""
    past = now() - timedelta(hours=1)
    database.write(lambda connection: connection.execute(update(outbox).values(due_at=past)))
    database.write(
        lambda connection: connection.execute(
            update(outbox).where(outbox.c.status == "sending").values(lease_until=past)
        )
    )


def rows(database: Database) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(select(outbox).order_by(outbox.c.dedupe_key)))


def test_one_cause_makes_one_message(database: Database) -> None:
    assert [put(database, AGAIN), put(database, AGAIN), put(database, ONCE), put(database, AGAIN, "other")] == [
        True,
        False,
        True,
        True,
    ]

    transport = Recording()
    while dispatcher(database, transport).step():
        pass

    assert Counter(transport.given) == {"k": 2, "other": 1}
    assert {row.status for row in rows(database)} == {"sent"}


def test_a_message_of_a_cause_that_was_undone_is_never_sent(database: Database) -> None:
    def work(connection: Connection) -> None:
        enqueue(connection, AGAIN, dedupe_key="k", payload={}, subject=None, due_at=now(), now=now())
        raise RuntimeError("undone")

    with pytest.raises(RuntimeError, match="undone"):
        database.write(work)

    assert not dispatcher(database, Recording()).step()


def test_a_message_waits_until_it_is_due(database: Database) -> None:
    later = now() + timedelta(hours=1)
    database.write(
        lambda connection: enqueue(connection, AGAIN, dedupe_key="k", payload={}, subject=None, due_at=later, now=now())
    )

    assert not dispatcher(database, Recording()).step()


@KINDS
def test_killed_between_sending_and_noting_it(database: Database, kind: MessageKind) -> None:
    put(database, kind)
    first, second = Recording(then=Killed()), Recording()

    with pytest.raises(Killed):
        dispatcher(database, first, "killed").step()
    assert not dispatcher(database, second, "other").step()  # not before the lease has run out
    time_passes(database)
    while dispatcher(database, second, "other").step():
        time_passes(database)

    (row,) = rows(database)
    assert first.given == ["k"]
    if kind is ONCE:
        assert (second.given, row.status, row.reason) == ([], "unknown", "dispatcher_lost")
    else:
        assert (second.given, row.status, row.attempts) == (["k"], "sent", 2)


@KINDS
@pytest.mark.parametrize("refusals", [1, ATTEMPTS - 1, ATTEMPTS])
def test_what_was_sent_is_noted_although_the_store_is_busy_and_else_counts_as_in_doubt(
    database: Database, monkeypatch: pytest.MonkeyPatch, kind: MessageKind, refusals: int
) -> None:
    put(database, kind)
    transport, write, left = Recording(), database.write, refusals

    def busy(work: Any) -> Any:
        nonlocal left
        if transport.given and left:
            left -= 1
            raise StoreBusyError
        return write(work)

    with monkeypatch.context() as patch, contextlib.suppress(StoreBusyError):
        patch.setattr(database, "write", busy)
        dispatcher(database, transport).step()
    time_passes(database)
    while dispatcher(database, transport, "other").step():
        time_passes(database)

    (row,) = rows(database)
    if refusals < ATTEMPTS:
        assert (transport.given, row.status) == (["k"], "sent")
    elif kind is ONCE:
        assert (transport.given, row.status) == (["k"], "unknown")
    else:
        assert (transport.given, row.status) == (["k", "k"], "sent")


@KINDS
def test_what_surely_did_not_leave_is_tried_again_and_in_the_end_given_up(
    database: Database, kind: MessageKind
) -> None:
    put(database, kind)
    transport = Recording(then=NotSentError())

    while dispatcher(database, transport).step():
        time_passes(database)

    (row,) = rows(database)
    assert len(transport.given) == MAX_ATTEMPTS
    assert (row.status, row.reason) == ("failed", "NotSentError")


def test_in_doubt_only_what_may_arrive_twice_is_sent_again(database: Database) -> None:
    put(database, ONCE)
    put(database, AGAIN)
    transport = Recording(then=TimeoutError("secret of 唐三"))

    while dispatcher(database, transport).step():
        time_passes(database)

    found = {row.kind: (row.status, row.attempts, row.reason) for row in rows(database)}
    assert found == {
        "test.once": ("unknown", 1, "TimeoutError"),
        "test.again": ("failed", MAX_ATTEMPTS, "TimeoutError"),
    }


def test_a_dispatcher_that_comes_back_after_its_lease_changes_nothing(database: Database) -> None:
    put(database, ONCE)

    class Stalling(Recording):
        def send(self, message: Message, *, now: datetime) -> None:
            time_passes(database)
            dispatcher(database, Recording(), "other").step()

    dispatcher(database, Stalling(), "stalled").step()

    (row,) = rows(database)
    assert (row.status, row.reason) == ("unknown", "dispatcher_lost")


@KINDS
def test_many_dispatchers_send_every_message_once(database: Database, kind: MessageKind) -> None:
    for number in range(20):
        put(database, kind, str(number))
    transport = Recording()

    def drain(name: str) -> None:
        one = dispatcher(database, transport, name)
        while one.step():
            pass

    at_once(drain, ["d0", "d1", "d2", "d3"])

    assert Counter(transport.given) == Counter(str(number) for number in range(20))
    assert {row.status for row in rows(database)} == {"sent"}


def message(key: str, **payload: Any) -> Message:
    return Message("id", "test.again", Delivery.AT_LEAST_ONCE, key, payload, now(), "w", 1)


def test_several_writers_append_whole_lines_to_the_file_of_the_tenants_day(tmp_path: Path) -> None:
    evening = datetime.fromisoformat("2026-11-20T17:00Z")

    def append_many(name: str) -> None:
        # A lock belongs to an opened file, so threads with files of their own meet as processes do.
        transport = FileTransport(tmp_path / "outbox", ZoneInfo("Asia/Shanghai"))
        for number in range(50):
            transport.send(message(f"{name}-{number}", text="唐三" * 3000), now=evening)

    at_once(append_many, "ab")

    (file,) = (tmp_path / "outbox").iterdir()
    keys = [json.loads(line)["dedupe_key"] for line in file.read_text().splitlines()]
    assert file.name == "2026-11-21.jsonl"
    assert sorted(keys) == sorted(f"{name}-{number}" for name in "ab" for number in range(50))
    assert file.stat().st_mode & 0o077 == 0


def test_half_a_line_that_a_crash_left_spoils_no_other(tmp_path: Path) -> None:
    moment = datetime.fromisoformat("2026-11-20T12:00+08:00")
    (tmp_path / "2026-11-20.jsonl").write_text('{"id":"ha')

    FileTransport(tmp_path, ZoneInfo("Asia/Shanghai")).send(message("whole"), now=moment)

    _, line = (tmp_path / "2026-11-20.jsonl").read_text().splitlines()
    assert json.loads(line)["dedupe_key"] == "whole"


def test_the_console_shows_a_line_per_message(capsys: pytest.CaptureFixture[str]) -> None:
    ConsoleTransport().send(message("k", name="值"), now=now())

    assert json.loads(capsys.readouterr().out)["payload"] == {"name": "值"}


def test_operators_see_messages_by_state_without_their_texts(make_client: MakeClient) -> None:
    client = make_client(settings={"job_workers": 0})
    database: Database = client.app.state.database  # type: ignore[attr-defined]

    def work(connection: Connection) -> None:
        for number in range(3):
            later = now() + timedelta(days=1)
            payload = {"secret": "唐三"}
            enqueue(
                connection, JOB_FINISHED, dedupe_key=str(number), payload=payload, subject=None, due_at=later, now=now()
            )

    database.write(work)

    first = client.get("/v1/outbox", params={"status": "waiting", "limit": 2}).json()
    rest = client.get("/v1/outbox", params={"limit": 2, "cursor": first["next_cursor"]}).json()

    assert [one["dedupe_key"] for one in first["messages"] + rest["messages"]] == ["2", "1", "0"]
    assert rest["next_cursor"] is None
    assert "唐三" not in json.dumps([first, rest], ensure_ascii=False)
    assert client.get("/v1/outbox", params={"status": "sent"}).json()["messages"] == []


def test_every_kind_is_documented_with_its_delivery() -> None:
    text = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")

    for kind in kinds.KINDS.values():
        assert f"| `{kind.name}` | {kind.delivery.replace('_', ' ')} |" in text


def test_the_outbox_is_for_those_who_see_the_audit_log(make_client: MakeClient) -> None:
    assert make_client(permissions=("customer.view",)).get("/v1/outbox").status_code == 403
    of_a_clinic = make_client(clinic_id="A").get("/v1/outbox")
    assert of_a_clinic.status_code == 403
    assert of_a_clinic.json()["problems"][0]["code"] == "headquarters_only"
