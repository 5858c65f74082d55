"""What becomes of a message that was not simply sent. Pure.

waiting → sending → sent
             ├─ not sent, surely ────────▶ waiting, later; failed after MAX_ATTEMPTS
             └─ nobody knows (crash, time-out) ─▶ at least once: as above; at most once: unknown, never sent again
"""

from datetime import timedelta
from enum import StrEnum

from api.outbox.kinds import Delivery

MAX_ATTEMPTS = 8
LONGEST_DELAY = timedelta(minutes=10)


class Status(StrEnum):
    """Where a message is; `dropped` is one whose subject was erased before it left."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"
    DROPPED = "dropped"


def after_doubt(delivery: Delivery, attempts: int) -> Status:
    """Nobody knows whether the message arrived."""
    return Status.UNKNOWN if delivery is Delivery.AT_MOST_ONCE else after_refusal(attempts)


def after_refusal(attempts: int) -> Status:
    """The message surely did not arrive; `attempts` counts this one."""
    return Status.WAITING if attempts < MAX_ATTEMPTS else Status.FAILED


def retry_delay(attempts: int) -> timedelta:
    """How long to wait before the next attempt: 2 s, 4 s, 8 s … LONGEST_DELAY."""
    return min(timedelta(seconds=2**attempts), LONGEST_DELAY)
