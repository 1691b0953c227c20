"""The serving side of RPC: who may ask what, and the answers.

Source: pkg/rpc/auth.go of cockroachdb/cockroach.
"""

import asyncio
import json

from sandbox.cockroach import gateway, pgwire, rpc, sessions
from sandbox.cockroach.certificates import principals
from sandbox.cockroach.cluster import WAITING_FOR_INIT, Cluster
from sandbox.cockroach.membership import Descriptor
from sandbox.cockroach.postgres import PostgresError

FOR_ROOT = ("Health", "Bootstrap", "Nodes")
INIT_TIMEOUT_S = 15.0


async def serve_peer(streams: rpc.Streams, cluster: Cluster) -> None:
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
            reply = await _answer(method, request, cluster)
        except (rpc.RpcError, PostgresError) as error:
            reply = {"error": str(error)}
        await connection.send(reply)


def _authorize(method: str, names: tuple[str, ...]) -> None:
    if not names:
        raise rpc.RpcError("no client certificates in request")
    if "node" not in names and not ("root" in names and method in FOR_ROOT):
        raise rpc.RpcError("need root or node client cert to perform RPCs on this server")


async def _answer(method: str, request: rpc.Message, cluster: Cluster) -> rpc.Message:
    match method:
        case "Health":
            pass
        case "Bootstrap":
            await cluster.initialize()
        case "Locate":
            _check_name(request, cluster)
            identity = await cluster.joined()
            return {"cluster_id": identity.cluster_id, "first_address": identity.first_address}
        case "Join":
            return await _take_in(request, cluster)
        case "Heartbeat":
            cluster.members.saw(request["node_id"])
        case "Nodes":
            return {"nodes": await _nodes(cluster)}
        case "Cancel":
            await gateway.cancel(request["key"], cluster)
        case _:
            raise rpc.RpcError(f"unknown method {method}")
    return {}


async def _take_in(request: rpc.Message, cluster: Cluster) -> rpc.Message:
    _check_name(request, cluster)
    identity = await cluster.joined()
    if not identity.is_first:
        raise rpc.RpcError("this is not the first node of the cluster")
    ours, theirs = identity.cluster_id, request["cluster_id"]
    if ours != theirs:
        raise rpc.RpcError(f'client cluster ID "{theirs}" doesn\'t match server cluster ID "{ours}"')
    return {"node_id": cluster.members.join(request["node_id"], Descriptor(**request["descriptor"]))}


def _check_name(request: rpc.Message, cluster: Cluster) -> None:
    if request["cluster_name"] != cluster.name:
        expected = f'peer node expects cluster name "{cluster.name}"'
        raise rpc.RpcError(f"{expected}, use --cluster-name to configure")


async def _nodes(cluster: Cluster) -> list[dict[str, str]]:
    try:
        async with asyncio.timeout(INIT_TIMEOUT_S):
            identity = await cluster.joined()
    except TimeoutError as error:
        raise rpc.RpcError(WAITING_FOR_INIT) from error
    if identity.is_first:
        return cluster.members.rows()
    try:
        async with cluster.dial_first(identity) as first:
            nodes: list[dict[str, str]] = (await first.call("Nodes"))["nodes"]
    except rpc.TROUBLES as error:
        raise rpc.RpcError(pgwire.NO_QUORUM[1]) from error
    return nodes


async def _serve_session(streams: rpc.Streams, request: rpc.Message, cluster: Cluster) -> None:
    # A gateway that believes wrongly that this is the first node must not send us round in circles.
    if cluster.identity and cluster.identity.is_first and cluster.linked.is_set():
        await sessions.serve(streams, request, cluster.postgres, cluster.members.regions())
    else:
        streams[1].write(pgwire.error_response(*pgwire.NO_QUORUM))
