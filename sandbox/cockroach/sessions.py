"""SQL sessions: taken in by any node, authenticated and served at the first one.

As CockroachDB's default HBA has it (cert-password): a client that presents a certificate is
authenticated by it alone, any other by its password.
"""

import asyncio
import socket
import struct
from typing import Protocol

from sandbox.cockroach import pgwire, rpc, scram
from sandbox.cockroach.certificates import principals
from sandbox.cockroach.postgres import Postgres, PostgresError

ROLE = """
SELECT rolcanlogin, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END
FROM pg_authid WHERE rolname = '{name}'
"""
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Gateway(Protocol):
    """What a session needs of the node that takes it in."""

    async def serve_session(self, client: Streams, session: rpc.Message) -> None:
        """Serve it here, or forward it to the first node."""

    async def cancel(self, key: str) -> None:
        """Cancel the query of the session with this key, in hexadecimal."""


async def negotiate(connection: socket.socket, gateway: Gateway) -> bool:
    """Answer what precedes TLS on a raw socket, and tell whether TLS comes next."""
    loop = asyncio.get_running_loop()
    while True:
        head = await _receive(loop, connection, 4)
        payload = await _receive(loop, connection, pgwire.startup_length(head))
        (code,) = struct.unpack("!i", payload[:4])
        if code == pgwire.SSL_REQUEST:
            await loop.sock_sendall(connection, b"S")
            return True
        if code == pgwire.CANCEL_REQUEST:
            await gateway.cancel(payload[4:].hex())
            return False
        if code != pgwire.GSS_REQUEST:
            await loop.sock_sendall(connection, pgwire.error_response(*pgwire.SSL_REQUIRED))
            return False
        await loop.sock_sendall(connection, b"N")


async def _receive(loop: asyncio.AbstractEventLoop, connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await loop.sock_recv(connection, size - len(data))
        if not more:
            raise EOFError("the client went away")
        data += more
    return data


async def take_in(client: Streams, gateway: Gateway) -> None:
    """Read who asks for what over TLS, check a client certificate, and have the session served."""
    reader, writer = client
    payload = await reader.readexactly(pgwire.startup_length(await reader.readexactly(4)))
    (code,) = struct.unpack("!i", payload[:4])
    if code == pgwire.CANCEL_REQUEST:
        await gateway.cancel(payload[4:].hex())
        return
    if code != pgwire.VERSION_3:
        writer.write(pgwire.error_response("08P01", f"unknown protocol version {code}"))
        return
    parameters = pgwire.parse_startup(payload[4:])
    user = parameters.get("user", "")
    certificate = writer.get_extra_info("peercert")
    if certificate and user not in principals(certificate):
        text = f'certificate authentication failed for user "{user}"'
        writer.write(pgwire.error_response("28000", text))
        return
    await gateway.serve_session(client, {"parameters": parameters, "authenticated": bool(certificate)})


async def forward(client: Streams, session: rpc.Message, node: rpc.Connection) -> None:
    """Hand a session to the first node, and pass bytes both ways."""
    await node.send({"method": "Session", **session})
    await pgwire.splice(client, (node.reader, node.writer))


async def serve(client: Streams, session: rpc.Message, postgres: Postgres) -> None:
    """Authenticate a session if no certificate has, and splice it with PostgreSQL as its role.

    Args:
        client: The client, or the gateway that forwards it.
        session: `parameters` of its start-up, whether it is `authenticated`, and `settings` that
            say through which node it came.
        postgres: The server underneath.
    """
    _, writer = client
    parameters: dict[str, str] = session["parameters"]
    refusal = await _refusal(client, parameters.get("user", ""), session["authenticated"], postgres)
    if refusal:
        writer.write(pgwire.error_response(*refusal))
        return
    settings: dict[str, str] = session["settings"]
    backend = await postgres.connect()
    try:
        backend[1].write(pgwire.startup({"database": "defaultdb"} | parameters | settings))
        kind, payload = await pgwire.read_message(backend[0])
        writer.write(pgwire.message(kind, payload))
        if kind == b"R":
            status = pgwire.cstring("crdb_version") + pgwire.cstring(
                f"CockroachDB {settings['standin.version']}"
            )
            writer.write(pgwire.message(b"S", status))
            await pgwire.splice(client, backend)
    finally:
        backend[1].close()


async def _refusal(
    client: Streams, user: str, authenticated: bool, postgres: Postgres
) -> tuple[str, str] | None:
    literal = user.replace("'", "''")
    try:
        rows = await postgres.query(ROLE.format(name=literal))
    except (OSError, PostgresError):
        return pgwire.NO_QUORUM
    # The same words for no such user, so that nobody learns who exists.
    failed = ("28P01", f"password authentication failed for user {user}")
    if not rows:
        return failed
    can_login, verifier = rows[0]
    if can_login != "t":
        return "28000", f"{user} does not have login privilege"
    if authenticated or await scram.authenticate(*client, verifier or scram.unknown_verifier()):
        return None
    return failed
