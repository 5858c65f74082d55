"""A request's body as a file without a name, so that nothing is left of it whatever happens.

How large it may be is said at the door (`api.edge.install.UPLOADS`).
"""

import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import BinaryIO

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

IN_MEMORY = 1 << 20


@dataclass(frozen=True, slots=True)
class Upload:
    """What was sent, at its beginning; digest: SHA-256 (hex)."""

    file: BinaryIO
    size: int
    digest: str


@asynccontextmanager
async def spooled(request: Request) -> AsyncIterator[Upload]:
    """The body of the request; gone when the context ends."""
    digest, size, waiting = hashlib.sha256(), 0, bytearray()
    with tempfile.TemporaryFile() as file:
        async for piece in request.stream():
            digest.update(piece)
            size += len(piece)
            waiting += piece
            if len(waiting) >= IN_MEMORY:
                await run_in_threadpool(file.write, bytes(waiting))
                waiting.clear()
        file.write(waiting)
        file.seek(0)
        yield Upload(file, size, digest.hexdigest())
