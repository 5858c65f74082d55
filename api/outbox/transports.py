"""How a message leaves: into a file, one a day, or onto the console. WeChat's transports come beside them."""

import fcntl
import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from api.outbox.messages import Message
from api.settings import ApiSettings


class NotSentError(Exception):
    """The message surely did not leave; every other exception of a transport leaves that open."""


class Transport(Protocol):
    """Where messages go."""

    def send(self, message: Message, *, now: datetime) -> None:
        """Hand the message over; returns once it is safe there. Raises NotSentError, or anything when in doubt."""


class FileTransport:
    """Appends a JSON line per message to `<folder>/YYYY-MM-DD.jsonl`; several processes may."""

    def __init__(self, folder: Path, zone: ZoneInfo) -> None:
        self._folder = folder
        self._zone = zone

    def send(self, message: Message, *, now: datetime) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._folder / f"{now.astimezone(self._zone):%Y-%m-%d}.jsonl"
        with os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            # Half a line is what a crash left; ours begins on its own.
            size = handle.seek(0, os.SEEK_END)
            torn = size > 0 and os.pread(handle.fileno(), 1, size - 1) != b"\n"
            handle.write((b"\n" if torn else b"") + line_of(message).encode() + b"\n")
            handle.flush()
            os.fsync(handle.fileno())


class ConsoleTransport:
    """Prints a JSON line per message to stdout, to watch while developing."""

    def send(self, message: Message, *, now: datetime) -> None:
        sys.stdout.write(f"{line_of(message)}\n")
        sys.stdout.flush()


def line_of(message: Message) -> str:
    """A message as one line of JSON."""
    told = {
        "id": message.id,
        "kind": message.kind,
        "dedupe_key": message.dedupe_key,
        "created_at": message.created_at.isoformat(),
        "payload": message.payload,
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def transport_of(settings: ApiSettings) -> Transport:
    """The transport that the settings name."""
    if settings.outbox_transport == "console":
        return ConsoleTransport()
    return FileTransport(settings.folders.outbox, settings.zone)
