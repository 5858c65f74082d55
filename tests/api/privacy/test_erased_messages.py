"""Messages about somebody who is erased: they leave whole, or not at all."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from api.caller import system_caller
from api.clock import now
from api.outbox.dispatcher import Dispatcher
from api.outbox.kinds import Delivery, MessageKind
from api.outbox.messages import Message, enqueue
from api.outbox.transports import NotSentError
from api.privacy.erasure import Person, forget
from api.storage.database import Database
from api.storage.tables.outbox import outbox

ONCE = MessageKind("test.once", Delivery.AT_MOST_ONCE, "最多一次", "At most once.")
AGAIN = MessageKind("test.again", Delivery.AT_LEAST_ONCE, "至少一次", "At least once.")
KINDS = pytest.mark.parametrize("kind", [ONCE, AGAIN])
TEXT = {"name": "唐三"}


class Killed(BaseException):
    """The process ends here."""


class ErasingMeanwhile:
    """A transport during whose first sending the subject is erased; then it does what the test says."""

    def __init__(self, database: Database, then: BaseException | None) -> None:
        self.database = database
        self.then = then
        self.sent: list[Any] = []

    def send(self, message: Message, *, now: datetime) -> None:
        self.sent.append(message.payload)
        if len(self.sent) == 1:
            erase(self.database)
        if self.then is not None:
            raise self.then


def put(database: Database, kind: MessageKind, subject: str = "C1") -> None:
    database.write(
        lambda connection: enqueue(
            connection, kind, dedupe_key=subject, payload=TEXT, subject=subject, due_at=now(), now=now()
        )
    )


def erase(database: Database) -> None:
    def work(connection: Connection) -> None:
        person = Person("C1", ("lead:leads:1",), ("C0",))
        who, secret = system_caller("test"), b"s" * 32
        forget(connection, who, person, reason="x", secret=secret, engine=database.kind, now=now())

    database.write(work)


def send_all(database: Database, transport: ErasingMeanwhile) -> None:
    """Until nothing is left to do, however long that takes."""
    past = now() - timedelta(hours=1)
    about = outbox.c.subject.is_not(None)
    while Dispatcher(database, transport, worker="one", clock=now).step():
        database.write(lambda connection: connection.execute(update(outbox).where(about).values(due_at=past)))


def row_of(database: Database, subject: str = "C1") -> Any:
    with database.read() as connection:
        return connection.execute(select(outbox).where(outbox.c.subject == subject)).one()


@KINDS
def test_one_that_waits_is_dropped_also_under_an_older_number_and_others_are_not(
    database: Database, kind: MessageKind
) -> None:
    for subject in ("C1", "C0", "other"):
        put(database, kind, subject)
    erase(database)
    transport = ErasingMeanwhile(database, None)
    transport.sent.append("nobody is erased while this transport sends")

    send_all(database, transport)

    assert transport.sent[1:].count(TEXT) == 1
    assert {} not in transport.sent
    for subject in ("C1", "C0"):
        row = row_of(database, subject)
        assert (row.status, row.reason, row.payload) == ("dropped", "erased", {})
    assert row_of(database, "other").payload == TEXT


@KINDS
def test_one_that_is_being_sent_arrives_whole_and_leaves_nothing_behind(database: Database, kind: MessageKind) -> None:
    put(database, kind)
    transport = ErasingMeanwhile(database, None)

    send_all(database, transport)

    row = row_of(database)
    assert transport.sent[0] == TEXT
    assert {} not in transport.sent
    assert (row.status, row.reason, row.payload) == ("sent", None, {})


@pytest.mark.parametrize(
    ("kind", "then", "ended"),
    [
        (ONCE, NotSentError(), ("dropped", "erased")),
        (AGAIN, NotSentError(), ("dropped", "erased")),
        (AGAIN, TimeoutError(), ("dropped", "erased")),
        (ONCE, TimeoutError(), ("unknown", "TimeoutError")),
    ],
)
def test_one_that_comes_back_is_not_sent_again(
    database: Database, kind: MessageKind, then: BaseException, ended: tuple[str, str]
) -> None:
    put(database, kind)
    transport = ErasingMeanwhile(database, then)

    send_all(database, transport)

    row = row_of(database)
    assert transport.sent[0] == TEXT
    assert {} not in transport.sent
    assert (row.status, row.reason, row.attempts, row.payload) == (*ended, 1, {})


@pytest.mark.parametrize(("kind", "ended"), [(ONCE, ("unknown", "dispatcher_lost")), (AGAIN, ("dropped", "erased"))])
def test_one_whose_dispatcher_died_meanwhile_is_not_sent_again(
    database: Database, kind: MessageKind, ended: tuple[str, str]
) -> None:
    put(database, kind)
    transport = ErasingMeanwhile(database, Killed())
    with pytest.raises(Killed):
        Dispatcher(database, transport, worker="killed", clock=now).step()
    transport.then = None
    past = now() - timedelta(hours=1)
    left = outbox.c.status == "sending"
    database.write(lambda connection: connection.execute(update(outbox).where(left).values(lease_until=past)))

    send_all(database, transport)

    row = row_of(database)
    assert transport.sent[0] == TEXT
    assert {} not in transport.sent
    assert (row.status, row.reason) == ended
