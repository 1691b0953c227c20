"""The serving side of RPC: who may ask what, and the answers.

Source: pkg/rpc/auth.go of cockroachdb/cockroach.
"""

import json

from sandbox.cockroach import pgwire, rpc, sessions
from sandbox.cockroach.certificates import principals
from sandbox.cockroach.cluster import Cluster
from sandbox.cockroach.postgres import PostgresError

FOR_ROOT = ("Health", "Bootstrap", "Nodes")


async def serve_peer(streams: sessions.Streams, cluster: Cluster) -> None:
    """Answer the calls of one connection until it ends, or becomes a SQL session."""
    reader, writer = streams
    names = principals(writer.get_extra_info("peercert"))
    connection = rpc.Connection(reader, writer)
    while line := await reader.readline():
        request: rpc.Message = json.loads(line)
        method = request.pop("method")
        try:
            _authorize(method, names)
            if method == "Session":
                await _serve_session(streams, request, cluster)
                return
            reply = await cluster.answer(method, request)
        except (rpc.RpcError, PostgresError) as error:
            reply = {"error": str(error)}
        await connection.send(reply)


def _authorize(method: str, names: tuple[str, ...]) -> None:
    if not names:
        raise rpc.RpcError("no client certificates in request")
    if "node" not in names and not ("root" in names and method in FOR_ROOT):
        raise rpc.RpcError("need root or node client cert to perform RPCs on this server")


async def _serve_session(streams: sessions.Streams, request: rpc.Message, cluster: Cluster) -> None:
    # A gateway that believes wrongly that this is the first node must not send us round in circles.
    if cluster.identity and cluster.identity.is_first and cluster.linked.is_set():
        await sessions.serve(streams, request, cluster.postgres)
    else:
        streams[1].write(pgwire.error_response(*pgwire.NO_QUORUM))
