"""The API as a process: uvicorn with our logs, and a stop that load balancers and running requests can follow."""

import asyncio
import gc
import socket
import sys

import uvicorn
from fastapi import FastAPI

from api.clock import now
from api.main import create_app
from api.settings import ApiSettings
from api.storage.database import StoreError, StoreUnusableError
from api.store import open_store

NOT_STARTED = 3


def serve_api(settings: ApiSettings, *, host: str, port: int) -> None:
    """Serve until a signal; exits with 3 when the application cannot start, with a sentence that says why."""
    try:
        app = create_app(settings)
        # The application does the same when it starts, but its errors are told with a traceback.
        open_store(settings, app.state.database, now=now())
    except (StoreError, StoreUnusableError) as error:
        print(f"error {str(error) or 'the operational store is busy / 业务库繁忙'}", file=sys.stderr)
        sys.exit(NOT_STARTED)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,  # `api.edge.logs` has configured them
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    server = DrainingServer(config, app, drain_seconds=settings.drain_seconds)
    try:
        server.run()
    except KeyboardInterrupt:
        return
    if not server.started:
        sys.exit(NOT_STARTED)


class DrainingServer(uvicorn.Server):
    """On the first signal `/readyz` turns 503, for `drain_seconds` all else still answers, then the doors close."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, *, drain_seconds: float) -> None:
        super().__init__(config)
        self._app = app
        self._drain_seconds = drain_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what is here now stays: collecting garbage need not look at it again and again

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        gc.unfreeze()
        self._app.state.shutting_down = True
        loop = asyncio.get_running_loop()
        closes_at = loop.time() + self._drain_seconds
        while loop.time() < closes_at and not self.force_exit:
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)
