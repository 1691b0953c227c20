"""SQL at the node a client connects to: TLS, certificates, and the way to the first node.

As CockroachDB's default HBA has it (cert-password): a client that presents a certificate is
authenticated by it alone, any other by its password.
"""

import asyncio
import socket
import struct

from sandbox.cockroach import pgwire, rpc, sessions
from sandbox.cockroach.certificates import principals
from sandbox.cockroach.cluster import Cluster
from sandbox.cockroach.logs import log

LOGIN_TIMEOUT_S = 4.5  # what a real node grants root before it gives up without a quorum


async def negotiate(connection: socket.socket, cluster: Cluster) -> bool:
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
            await cancel(payload[4:].hex(), cluster)
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


async def take_in(client: rpc.Streams, cluster: Cluster) -> None:
    """Read who asks for what over TLS, check a client certificate, and have the session served."""
    reader, writer = client
    payload = await reader.readexactly(pgwire.startup_length(await reader.readexactly(4)))
    (code,) = struct.unpack("!i", payload[:4])
    if code == pgwire.CANCEL_REQUEST:
        await cancel(payload[4:].hex(), cluster)
        return
    parameters = pgwire.parse_startup(payload[4:])
    user, names = parameters.get("user", ""), principals(writer.get_extra_info("peercert"))
    if code != pgwire.VERSION_3:
        writer.write(pgwire.error_response("08P01", f"unknown protocol version {code}"))
    elif names and user not in names:
        refusal = f'certificate authentication failed for user "{user}"'
        writer.write(pgwire.error_response("28000", refusal))
    elif cluster.draining:
        writer.write(pgwire.error_response(*pgwire.DRAINING))
    else:
        address = "{}:{}".format(*writer.get_extra_info("peername")[:2])
        session = {"parameters": parameters, "authenticated": bool(names), "client_address": address}
        try:
            await _serve(client, session, cluster)
        except rpc.TROUBLES as error:
            writer.write(pgwire.error_response(*pgwire.NO_QUORUM))
            log.warning("no quorum for a new session: %s", str(error) or type(error).__name__)


async def _serve(client: rpc.Streams, session: rpc.Message, cluster: Cluster) -> None:
    async with asyncio.timeout(LOGIN_TIMEOUT_S):
        await cluster.linked.wait()
    identity = await cluster.joined()
    session["settings"] = {
        "standin.version": cluster.descriptor.build,
        "standin.cluster_id": identity.cluster_id,
        "standin.node_id": str(identity.node_id),
        "standin.region": cluster.descriptor.region,
    }
    if identity.is_first:
        await sessions.serve(client, session, cluster.postgres, cluster.members.regions())
        return
    async with cluster.dial_first(identity) as first:
        await first.send({"method": "Session", **session})
        await pgwire.splice(client, (first.reader, first.writer))


async def cancel(key: str, cluster: Cluster) -> None:
    """Cancel the query of the session with this key, in hexadecimal, wherever it came in."""
    identity = await cluster.joined()
    if identity.is_first:
        await cluster.postgres.cancel(bytes.fromhex(key))
        return
    async with cluster.dial_first(identity) as first:
        await first.call("Cancel", key=key)
