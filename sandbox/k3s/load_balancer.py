"""127.0.0.1:6444 on every node: TCP to whichever API server answers.

Source: pkg/agent/loadbalancer of k3s-io/k3s.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sandbox.k3s.config import API_PORT, LOCAL_API_PORT
from sandbox.k3s.logs import log

_CONNECT_S = 5.0
_CHUNK = 1 << 16


class LoadBalancer:
    """Servers in order of preference: the one that answered last comes first."""

    def __init__(self, servers: Sequence[str]) -> None:
        self._servers = list(servers)
        self._open: dict[str, set[asyncio.StreamWriter]] = {}

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen; connections that are open at the end go on until one of their sides ends."""
        listener = await asyncio.start_server(self._serve, "127.0.0.1", LOCAL_API_PORT)
        try:
            yield
        finally:
            listener.close()  # not waited for: since Python 3.12 that lasts as long as any client

    def update(self, servers: Sequence[str]) -> None:
        """Take the servers that there are now; connections to others are closed, and come anew."""
        if set(servers) == set(self._servers):
            return
        log.info("Updating load balancer server addresses -> %s", sorted(servers))
        kept = [server for server in self._servers if server in servers]
        self._servers = kept + [server for server in servers if server not in kept]
        for server in set(self._open) - set(servers):
            for writer in self._open.pop(server):
                writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for server in list(self._servers):
            try:
                opening = asyncio.open_connection(server, API_PORT)
                far_reader, far_writer = await asyncio.wait_for(opening, _CONNECT_S)
            except (OSError, TimeoutError) as error:
                log.debug("%s does not answer: %s", server, error)
                self._put_last(server)
                continue
            ours = self._open.setdefault(server, set())
            ours.add(writer)
            try:
                await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
            finally:
                ours.discard(writer)
            return
        writer.close()

    def _put_last(self, server: str) -> None:
        if server in self._servers:
            self._servers.remove(server)
            self._servers.append(server)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes until either side ends, then end the other."""
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    except OSError as error:
        log.debug("connection ended: %s", error)
    finally:
        writer.close()
