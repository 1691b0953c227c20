"""PostgreSQL's wire protocol: the few messages a gateway must understand itself.

Source: the chapter "Frontend/Backend Protocol" of PostgreSQL's documentation; texts and codes of
errors from pkg/sql/pgwire of cockroachdb/cockroach.
"""

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable, Mapping

from sandbox.cockroach.rpc import Streams

Pump = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

VERSION_3 = 196608
CANCEL_REQUEST = 80877102
SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
MAX_STARTUP_BYTES = 10_000

SSL_REQUIRED = ("08P01", "node is running secure mode, SSL connection required")
DRAINING = ("57P01", "server is not accepting clients, try another node")
NO_QUORUM = ("28000", "internal error while retrieving user account: operation timed out")


def message(kind: bytes, payload: bytes) -> bytes:
    """Frame a message."""
    return kind + struct.pack("!i", len(payload) + 4) + payload


def cstring(text: str) -> bytes:
    """Encode a string as the protocol ends it."""
    return text.encode() + b"\0"


async def read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read a message's kind and payload."""
    head = await reader.readexactly(5)
    (length,) = struct.unpack("!i", head[1:])
    return head[:1], await reader.readexactly(length - 4)


def startup(parameters: Mapping[str, str]) -> bytes:
    """Make a StartupMessage."""
    pairs = b"".join(cstring(text) for pair in parameters.items() for text in pair)
    payload = struct.pack("!i", VERSION_3) + pairs + b"\0"
    return struct.pack("!i", len(payload) + 4) + payload


def cancel(key: bytes) -> bytes:
    """Make a CancelRequest from the eight bytes of a BackendKeyData."""
    return struct.pack("!ii", 8 + len(key), CANCEL_REQUEST) + key


def parse_startup(payload: bytes) -> dict[str, str]:
    """Read the parameters of a StartupMessage, after its version."""
    words = payload.decode(errors="replace").split("\0")
    return dict(zip(words[0:-2:2], words[1:-1:2], strict=False))


def startup_length(head: bytes) -> int:
    """Return how many bytes of a start-up packet follow its first four.

    Raises:
        EOFError: this is no start-up packet of PostgreSQL's protocol.
    """
    (length,) = struct.unpack("!i", head)
    if not 8 <= length <= MAX_STARTUP_BYTES:
        raise EOFError("no start-up packet")
    return int(length) - 4


def error_response(code: str, text: str) -> bytes:
    """Make an ErrorResponse; CockroachDB gives the severity ERROR where PostgreSQL has FATAL."""
    fields = b"".join(kind + cstring(value) for kind, value in ((b"S", "ERROR"), (b"C", code), (b"M", text)))
    return message(b"E", fields + b"\0")


def error_text(payload: bytes) -> str:
    """Return an ErrorResponse's message."""
    fields = {field[:1]: field[1:] for field in payload.split(b"\0")}
    return fields.get(b"M", b"").decode()


def data_row(payload: bytes) -> list[str | None]:
    """Read a DataRow whose columns are in text form."""
    (columns,) = struct.unpack_from("!h", payload)
    row: list[str | None] = []
    offset = 2
    for _ in range(columns):
        (length,) = struct.unpack_from("!i", payload, offset)
        offset += 4
        row.append(None if length < 0 else payload[offset : offset + length].decode())
        offset += max(length, 0)
    return row


async def pass_bytes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on whatever comes until it ends."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def splice(left: Streams, right: Streams, forward: Pump = pass_bytes) -> None:
    """Pass bytes both ways, from the left as `forward` does, until either side ends; then both have."""

    async def run(pump: Pump, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):  # a side that is lost has ended
            await pump(reader, writer)

    pumps = [
        asyncio.ensure_future(run(forward, left[0], right[1])),
        asyncio.ensure_future(run(pass_bytes, right[0], left[1])),
    ]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in pumps:
            task.cancel()
        left[1].close()
        right[1].close()
