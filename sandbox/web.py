"""Serving an application over TLS, asleep until somebody asks."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol


class WebServer(uvicorn.Server):
    """Serves one application over TLS until it is told to stop; wakes up for nothing but requests."""

    def __init__(self, app: ASGIApp, certificate: Path, key: Path) -> None:
        config = uvicorn.Config(
            app,
            ssl_certfile=str(certificate),
            ssl_keyfile=str(key),
            http="h11",
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,  # `/ip` tells who really asks
            date_header=False,  # uvicorn would wake up every 100 ms to keep it right
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve_on(self, listener: socket.socket) -> None:
        """Serve until told to stop.

        asyncio sets TCP_NODELAY only on sockets that say they are TCP, and a listener made by
        `socket.create_server` does not say so: answers would wait 40 ms for an acknowledgement.
        """
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop = asyncio.get_running_loop()
        await self.serve(sockets=[listener])

    def stop(self) -> None:
        """Stop serving; any thread may say so."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._stop.set)
        else:
            self._stop.set()

    async def main_loop(self) -> None:
        """Sleep until told to stop, where uvicorn would look ten times a second."""
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Hang up on clients that only keep a connection open; requests under way are answered first."""
        for connection in list(self.server_state.connections):
            idle = isinstance(connection, H11Protocol) and (
                connection.cycle is None or connection.cycle.response_complete
            )
            if idle:
                connection.transport.abort()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the daemon: there are two servers in one loop."""
        yield
