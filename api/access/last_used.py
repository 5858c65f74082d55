"""When each key and session was last used: remembered in memory, written down every half minute and at the end.

A write per request would make every read a write; half a minute of lost precision is what a crash costs.
"""

import threading
from datetime import datetime

import structlog
from sqlalchemy import Connection, bindparam, or_, update

from api.storage.database import Database, StoreError
from api.storage.tables.access import api_key, patient_session

FLUSH_SECONDS = 30.0
TABLES = {"key": api_key, "session": patient_session}

log: structlog.stdlib.BoundLogger = structlog.get_logger("cdp.api")


class LastUsed:
    """Uses of one application since the last flush; thread-safe."""

    def __init__(self, database: Database, *, seconds: float = FLUSH_SECONDS) -> None:
        self._database = database
        self._seconds = seconds
        self._guard = threading.Lock()
        self._used: dict[tuple[str, str], datetime] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, kind: str, credential: str, at: datetime) -> None:
        """Remember a use of a `key` or a `session`."""
        with self._guard:
            self._used[kind, credential] = at

    def flush(self) -> None:
        """Write down what was remembered; a moment already stored never goes back. Raises StoreError."""
        with self._guard:
            used, self._used = self._used, {}
        if not used:
            return
        try:
            self._write(used)
        except Exception:
            with self._guard:
                self._used = used | self._used
            raise

    def start(self) -> None:
        """Flush in the background until `stop`."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="last-used", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the background thread and flush what is left."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self._flush_or_log()

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds):
            self._flush_or_log()

    def _flush_or_log(self) -> None:
        try:
            self.flush()
        except StoreError:
            log.warning("last use not written yet: the store is busy or gone")
        except Exception:  # a bookkeeping thread must outlive whatever the store answers
            log.exception("last use not written")

    def _write(self, used: dict[tuple[str, str], datetime]) -> None:
        def work(connection: Connection) -> None:
            for kind, table in TABLES.items():
                # In one order everywhere, so that two processes never wait for each other.
                moments = [{"of": name, "at": at} for (of, name), at in sorted(used.items()) if of == kind]
                if moments:
                    column = table.c.last_used_at
                    later = or_(column.is_(None), column < bindparam("at", type_=column.type))
                    statement = update(table).where(table.c.id == bindparam("of"), later)
                    connection.execute(statement.values(last_used_at=bindparam("at", type_=column.type)), moments)

        self._database.write(work)
