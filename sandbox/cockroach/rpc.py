"""Calls between nodes, and from `init` and `node status`: lines of JSON over mutual TLS.

A real node speaks gRPC here. Who may call is as there: the certificate says `node`, or `root` for
what an administrator may ask.
"""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from sandbox.cockroach.arguments import split_address

Message = dict[str, Any]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
CONNECT_TIMEOUT_S = 5.0
# OSError holds refused and lost connections, TLS failures and TimeoutError; EOFError cut messages.
TROUBLES = (OSError, EOFError)


class RpcError(Exception):
    """The other side answered, and refused."""


@dataclass
class Connection:
    """An open connection to a node."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, message: Message) -> None:
        """Write one message."""
        self.writer.write(json.dumps(message).encode() + b"\n")
        await self.writer.drain()

    async def call(self, method: str, timeout_s: float | None = CONNECT_TIMEOUT_S, **fields: Any) -> Message:
        """Ask and wait for the answer; without a timeout as long as the connection lives.

        Raises:
            RpcError: the node refused.
        """
        async with asyncio.timeout(timeout_s):
            await self.send({"method": method, **fields})
            line = await self.reader.readline()
        if not line:
            raise ConnectionResetError("the node closed the connection")
        reply: Message = json.loads(line)
        if "error" in reply:
            raise RpcError(reply["error"])
        return reply


class ServerContext(ssl.SSLContext):
    """A context for `accept_tls` whose failed handshakes end with an alert; asyncio drops it."""

    def wrap_bio(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *more: Any, **named: Any
    ) -> ssl.SSLObject:
        """Make the TLS side of a connection, which knows its socket."""
        side = super().wrap_bio(incoming, outgoing, *more, **named)
        side.outgoing, side.socket = outgoing, _accepted.get()  # type: ignore[attr-defined]
        return side


class _AlertingSide(ssl.SSLObject):
    outgoing: ssl.MemoryBIO
    socket: socket.socket

    def do_handshake(self) -> None:
        """Make a step; tell the other side what is wrong with its certificate."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            with suppress(OSError):  # the other side may be gone
                self.socket.send(self.outgoing.read())
            raise


ServerContext.sslobject_class = _AlertingSide
_accepted: ContextVar[socket.socket] = ContextVar("accepted")


@asynccontextmanager
async def dial(address: str, context: ssl.SSLContext) -> AsyncIterator[Connection]:
    """Connect to a node, verifying its certificate against the host that was dialled."""
    host, port = split_address(address)
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(
            host, port, ssl=context, server_hostname=host, ssl_shutdown_timeout=1
        )
    keep_alive(writer.get_extra_info("socket"))
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()


async def accept_tls(connection: socket.socket, context: ssl.SSLContext) -> Streams:
    """Make the TLS handshake on an accepted socket, and give streams over it.

    Raises:
        SSLError: it failed, and the other side was told why.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    # The transport closes its socket when it is done, so the caller's object must let go of it.
    own = socket.socket(fileno=connection.detach())
    _accepted.set(own)
    transport, _ = await loop.connect_accepted_socket(
        lambda: protocol, own, ssl=context, ssl_handshake_timeout=10, ssl_shutdown_timeout=1
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def keep_alive(connection: socket.socket) -> None:
    """Notice within about 20 s that the other side is gone without a word."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 3)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 20_000)
