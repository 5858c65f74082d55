"""A PostgreSQL of the tests' own, from whatever binaries the machine has: on a socket, in a folder that goes away."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MISSING = "NO POSTGRESQL ON THIS MACHINE: its half of the API suite did not run (Debian: apt-get install postgresql)"
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=64MB", "max_connections=200")
# Where files are kept in memory (tmpfs), and how much of it a server may come to use.
MEMORY, ROOM = Path("/dev/shm"), 1 << 30  # noqa: S108  (that is where Linux keeps it)


def find_binaries() -> Path | None:
    """The folder with initdb and postgres; distributions keep it off the path."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda file: int(file.parts[-3]))
    return places[-1].parent if places else None


def memory() -> Path | None:
    """A folder in memory with room for a server's files, if there is one; a container's has often 64 MB."""
    has_room = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    return MEMORY if has_room else None


@contextmanager
def running_server(binaries: Path, settings: tuple[str, ...] = FAST, *, below: Path | None = None) -> Iterator[str]:
    """A running server with its files `below` a folder; yields the folder of its socket.

    It refuses to run as root, so root lends it another user.
    """
    # A socket's path may have 107 bytes: pytest's own folders are too long.
    with tempfile.TemporaryDirectory(prefix="cdp-pg-", dir=below) as folder:
        root = Path(folder)
        user = _unprivileged_user()
        if user is not None:
            entry = pwd.getpwnam(user)
            os.chown(root, entry.pw_uid, entry.pw_gid)
        data = root / "data"

        def run(*arguments: object) -> None:
            subprocess.run([*map(str, arguments)], user=user, check=True, capture_output=True, cwd=root)

        run(binaries / "initdb", "-D", data, "-U", "cdp", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        flags = " ".join(
            f"-c {setting}" for setting in ("listen_addresses=''", f"unix_socket_directories={root}", *settings)
        )
        control = [binaries / "pg_ctl", "-D", data, "-l", root / "log", "-w"]
        run(*control, "-o", flags, "start")
        try:
            yield str(root)
        finally:
            run(*control, "-m", "immediate", "stop")


def _unprivileged_user() -> str | None:
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
