"""The daemon: ARM, tokens and the artifact mirror in one process, and the fabric it drives."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp


class WebServer(uvicorn.Server):
    """Serves one application over TLS; whoever runs it sees to the signals."""

    def __init__(self, app: ASGIApp, certificate: Path, key: Path) -> None:
        config = uvicorn.Config(
            app,
            ssl_certfile=str(certificate),
            ssl_keyfile=str(key),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_keep_alive=75,
        )
        super().__init__(config)

    async def serve_on(self, listener: socket.socket) -> None:
        """Serve until told to stop.

        asyncio sets TCP_NODELAY only on sockets that say they are TCP, and a listener made by
        `socket.create_server` does not say so: answers would wait 40 ms for an acknowledgement.
        """
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await self.serve(sockets=[listener])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the daemon: there are two servers in one loop."""
        yield
