"""A node's place in its cluster: finding it or making it, staying in it, reaching the first node.

The node that receives `init` is the first: it runs PostgreSQL and keeps the list of nodes. The
others ask their join list, as long as it takes; whoever knows the first node tells, as gossip would.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from sandbox.cockroach import pgwire, rpc, sessions
from sandbox.cockroach.certificates import NodeCertificates
from sandbox.cockroach.logs import CalmLog, formatter, log
from sandbox.cockroach.membership import Descriptor, Identity, Members, read_identity, write_identity
from sandbox.cockroach.postgres import Postgres, PostgresError

HEARTBEAT_EVERY_S = 1.0
HEARTBEAT_TIMEOUT_S = 3.0
MAX_RETRY_S = 5.0
LOGIN_TIMEOUT_S = 4.5  # what a real node grants root before it gives up without a quorum
INIT_TIMEOUT_S = 15.0
ALREADY_INITIALIZED = "cluster has already been initialized"
WAITING_FOR_INIT = "node is waiting for cluster initialization"


class Cluster:
    """This node's view of its cluster.

    Attributes:
        identity: None until a cluster was found or made; its node id is 0 until this node is in it.
        known: Set once this node is part of a cluster.
        linked: Set while this node reaches the first one, which stands in for having a quorum.
    """

    def __init__(
        self,
        store: Path,
        descriptor: Descriptor,
        join: tuple[str, ...],
        name: str,
        certificates: NodeCertificates,
    ) -> None:
        self._store = store
        self._descriptor = descriptor
        self._join = tuple(address for address in join if address != descriptor.address)
        self._name = name
        self._certificates = certificates
        self._calm = CalmLog()
        self._bootstrap = asyncio.Lock()
        self.postgres = Postgres(store)
        self.members = Members(store)
        self.known = asyncio.Event()
        self.linked = asyncio.Event()
        self.draining = False
        self.identity = read_identity(store)
        if self.identity:
            self._remember(self.identity)

    @property
    def unready(self) -> str:
        """Why this node takes no clients; empty when it does. Source: pkg/server/admin.go."""
        if self.draining:
            return "node is shutting down"
        if not self.known.is_set():
            return WAITING_FOR_INIT
        return "" if self.linked.is_set() else "node is not healthy"

    async def take_part(self) -> None:
        """Find the cluster, then stay in it for ever.

        Raises:
            PostgresError: this is the first node, and its PostgreSQL failed.
        """
        if self.identity and self.identity.is_first:
            await self.postgres.start()
            self._lead()
        elif not self.identity:
            await self._find()
        if self.identity and self.identity.is_first:
            raise PostgresError(f"PostgreSQL ended with code {await self.postgres.wait()}")
        await self._follow()

    async def stop(self) -> None:
        """Leave: stop PostgreSQL where it runs."""
        self.draining = True
        self.linked.clear()
        await self.postgres.stop()

    def _remember(self, identity: Identity) -> None:
        write_identity(self._store, identity)
        self.identity = identity
        formatter.node_id = identity.node_id
        self.known.set()

    def _lead(self) -> None:
        self.members.join(1, self._descriptor)
        self.linked.set()

    # Finding and following

    async def _find(self) -> None:
        """Ask everyone on the join list at once, until one knows or `init` comes here."""
        asking = [asyncio.create_task(self._ask(address)) for address in self._join]
        asking.append(asyncio.create_task(self._wait_until_known()))
        try:
            ended, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            for task in asking:
                task.cancel()

    async def _wait_until_known(self) -> None:
        await self.known.wait()

    async def _ask(self, address: str) -> None:
        for attempt in range(1_000_000_000):
            with self._reporting(f"unable to join through {address}"):
                async with rpc.dial(address, self._certificates.client) as peer:
                    # The answer may take until somebody runs `init`.
                    reply = await peer.call("Locate", timeout_s=None, cluster_name=self._name)
                if not self.identity:
                    self.identity = Identity(reply["cluster_id"], 0, reply["first_address"])
                return
            await asyncio.sleep(min(1.0 + attempt / 2, MAX_RETRY_S))

    async def _follow(self) -> None:
        assert self.identity  # noqa: S101
        while True:
            with self._reporting(f"no contact with the first node at {self.identity.first_address}"):
                async with rpc.dial(self.identity.first_address, self._certificates.client) as first:
                    await self._stay(first, self.identity)
            self.linked.clear()
            await asyncio.sleep(HEARTBEAT_EVERY_S)

    async def _stay(self, first: rpc.Connection, identity: Identity) -> None:
        reply = await first.call(
            "Join",
            node_id=identity.node_id,
            cluster_id=identity.cluster_id,
            cluster_name=self._name,
            descriptor=asdict(self._descriptor),
        )
        identity.node_id = reply["node_id"]
        self._remember(identity)
        self._calm.forget(f"no contact with the first node at {identity.first_address}")
        self.linked.set()
        log.info("joined cluster %s as node %d", identity.cluster_id, identity.node_id)
        while True:
            await asyncio.sleep(HEARTBEAT_EVERY_S)
            await first.call("Heartbeat", HEARTBEAT_TIMEOUT_S, node_id=identity.node_id)

    @contextlib.contextmanager
    def _reporting(self, subject: str) -> Iterator[None]:
        try:
            yield
        except (*rpc.TROUBLES, rpc.RpcError) as error:
            self._calm.warning(subject, str(error) or type(error).__name__)

    # What other nodes, `init` and `node status` ask

    async def answer(self, method: str, request: rpc.Message) -> rpc.Message:
        """Answer a call of another node or of a command.

        Raises:
            RpcError: the call is refused.
        """
        match method:
            case "Health":
                return {}
            case "Bootstrap":
                return await self._initialize()
            case "Locate":
                return await self._locate(request["cluster_name"])
            case "Join":
                return self._take_in(request)
            case "Heartbeat":
                self.members.saw(request["node_id"])
                return {}
            case "Nodes":
                return {"nodes": await self._nodes()}
            case "Cancel":
                await self.cancel(request["key"])
                return {}
        raise rpc.RpcError(f"unknown method {method}")

    async def _initialize(self) -> rpc.Message:
        async with self._bootstrap:
            if self.identity:
                raise rpc.RpcError(ALREADY_INITIALIZED)
            log.info("initializing new cluster")
            await self.postgres.create()
            self._remember(Identity(str(uuid.uuid4()), 1, self._descriptor.address))
            self._lead()
        return {}

    async def _locate(self, cluster_name: str) -> rpc.Message:
        self._check_name(cluster_name)
        await self.known.wait()
        assert self.identity  # noqa: S101
        return {"cluster_id": self.identity.cluster_id, "first_address": self.identity.first_address}

    def _take_in(self, request: rpc.Message) -> rpc.Message:
        self._check_name(request["cluster_name"])
        if not self.identity or not self.identity.is_first:
            raise rpc.RpcError("this is not the first node of the cluster")
        ours, theirs = self.identity.cluster_id, request["cluster_id"]
        if ours != theirs:
            raise rpc.RpcError(f'client cluster ID "{theirs}" doesn\'t match server cluster ID "{ours}"')
        return {"node_id": self.members.join(request["node_id"], Descriptor(**request["descriptor"]))}

    def _check_name(self, cluster_name: str) -> None:
        if cluster_name != self._name:
            raise rpc.RpcError(
                f'peer node expects cluster name "{self._name}", use --cluster-name to configure'
            )

    async def _nodes(self) -> list[dict[str, str]]:
        try:
            async with asyncio.timeout(INIT_TIMEOUT_S):
                await self.known.wait()
        except TimeoutError as error:
            raise rpc.RpcError(WAITING_FOR_INIT) from error
        assert self.identity  # noqa: S101
        if self.identity.is_first:
            return self.members.rows()
        try:
            async with rpc.dial(self.identity.first_address, self._certificates.client) as first:
                nodes: list[dict[str, str]] = (await first.call("Nodes"))["nodes"]
        except rpc.TROUBLES as error:
            raise rpc.RpcError(pgwire.NO_QUORUM[1]) from error
        return nodes

    # SQL

    async def serve_session(self, client: sessions.Streams, session: rpc.Message) -> None:
        """Serve a session that begins at this node, here or at the first one."""
        try:
            async with asyncio.timeout(LOGIN_TIMEOUT_S):
                await self.linked.wait()
            assert self.identity  # noqa: S101
            session["settings"] = {
                "standin.version": self._descriptor.build,
                "standin.node_id": str(self.identity.node_id),
                "standin.cluster_id": self.identity.cluster_id,
                "standin.region": _region(self._descriptor.locality),
            }
            if self.identity.is_first:
                await sessions.serve(client, session, self.postgres)
                return
            async with rpc.dial(self.identity.first_address, self._certificates.client) as first:
                await sessions.forward(client, session, first)
        except rpc.TROUBLES as error:
            client[1].write(pgwire.error_response(*pgwire.NO_QUORUM))
            log.warning("no quorum for a new session: %s", str(error) or type(error).__name__)

    async def cancel(self, key: str) -> None:
        """Cancel a query, wherever its session came in."""
        await self.known.wait()
        assert self.identity  # noqa: S101
        if self.identity.is_first:
            _, writer = await self.postgres.connect()
            writer.write(pgwire.cancel(bytes.fromhex(key)))
            writer.close()
            return
        async with rpc.dial(self.identity.first_address, self._certificates.client) as first:
            await first.call("Cancel", key=key)


def _region(locality: str) -> str:
    tiers = dict(tier.split("=", 1) for tier in locality.split(",") if tier)
    return tiers.get("region", "")
