"""Sends what is due, one message after another; any number of dispatchers share the outbox."""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from api.outbox.messages import Message, claim, look, recover, settle
from api.outbox.rules import Status, after_doubt, after_refusal
from api.outbox.transports import NotSentError, Transport
from api.storage.database import Database
from api.storage.insist import insist

log: structlog.stdlib.BoundLogger = structlog.get_logger("cdp.outbox")

LEASE = timedelta(seconds=60)


class Dispatcher:
    """One sender; `worker` is a name that no other has."""

    def __init__(
        self,
        database: Database,
        transport: Transport,
        *,
        worker: str,
        clock: Callable[[], datetime],
        lease: timedelta = LEASE,
    ) -> None:
        self._database = database
        self._transport = transport
        self._worker = worker
        self._clock = clock
        self._lease = lease

    def step(self) -> bool:
        """Decide about what others left behind and send one message; False when there was nothing to do."""
        with self._database.read() as connection:
            if not look(connection, self._clock()):
                return False
        message = self._database.write(self._taken)
        if message is not None:
            status, reason = self._sent(message)
            now = self._clock()
            # To lose this write would mean to send it again, or never to know.
            insist(self._database, lambda connection: settle(connection, message, status, reason=reason, now=now))
        return True

    def _taken(self, connection: Connection) -> Message | None:
        now = self._clock()
        recover(connection, now)
        return claim(connection, worker=self._worker, lease=self._lease, now=now)

    def _sent(self, message: Message) -> tuple[Status, str | None]:
        try:
            self._transport.send(message, now=self._clock())
        except Exception as error:
            # Only the kind of error is kept: its text may hold what the message said.
            reason = type(error).__name__
            surely_not = isinstance(error, NotSentError)
            status = after_refusal(message.attempts) if surely_not else after_doubt(message.delivery, message.attempts)
        else:
            return Status.SENT, None
        log.warning("message not sent", message_id=message.id, kind=message.kind, status=status, reason=reason)
        return status, reason
