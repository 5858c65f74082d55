"""The writer lock: one process at a time may write below `build/`. An OS lock, so it dies with its holder."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from segment_engine.runtime.folders import DataFolders

LOCK_NAME = "writer.lock"
RETRY_SECONDS = 0.1


class WarehouseBusy(Exception):  # noqa: N818 -- a state, not a defect
    """Another process holds the writer lock; `holder` says which, as far as it told."""

    def __init__(self, holder: dict[str, Any]) -> None:
        who = f"pid {holder.get('pid', '?')}, {holder.get('owner', '?')}, since {holder.get('since', '?')}"
        super().__init__(f"the warehouse is being written by another run ({who}) / 数据仓库正被另一进程写入({who})")
        self.holder = holder


@contextmanager
def writer_lock(folders: DataFolders, *, wait_seconds: float, owner: str) -> Iterator[None]:
    """Hold the writer lock; raises WarehouseBusy when another holds it for longer than `wait_seconds`.

    The kernel frees the lock when its process ends, however it ends, so a lock file left behind means nothing.
    """
    folders.build.mkdir(parents=True, exist_ok=True)
    path = folders.build / LOCK_NAME
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _acquire(descriptor, path, wait_seconds)
        _write_holder(descriptor, owner)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def current_holder(folders: DataFolders) -> dict[str, Any] | None:
    """Who holds the lock, as far as can be told without touching it; None when nobody living does."""
    holder = _holder(folders.build / LOCK_NAME)
    try:
        os.kill(int(holder["pid"]), 0)
    except (KeyError, TypeError, ValueError, OverflowError, ProcessLookupError):
        return None
    except PermissionError:
        return holder
    return holder


def _acquire(descriptor: int, path: Path, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise WarehouseBusy(_holder(path)) from None
            time.sleep(RETRY_SECONDS)
        else:
            return


def _write_holder(descriptor: int, owner: str) -> None:
    holder = {"pid": os.getpid(), "owner": owner}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(holder, ensure_ascii=False).encode(), 0)


def _holder(path: Path) -> dict[str, Any]:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        # The file was last written when the lock was taken.
        since = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC).isoformat(timespec="seconds")
    except (OSError, ValueError):
        return {}
    return {**holder, "since": since} if isinstance(holder, dict) else {}
