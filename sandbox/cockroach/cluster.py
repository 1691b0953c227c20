"""A node's place in its cluster: finding it or making it, and staying in it.

The node that receives `init` is the first: it runs PostgreSQL and keeps the list of nodes. The
others ask their join list, as long as it takes; whoever knows the first node tells, as gossip would.
"""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path

from sandbox.cockroach import rpc
from sandbox.cockroach.certificates import NodeCertificates
from sandbox.cockroach.logs import CalmLog, formatter, log
from sandbox.cockroach.membership import Descriptor, Identity, Members, read_identity, write_identity
from sandbox.cockroach.postgres import Postgres, PostgresError

HEARTBEAT_EVERY_S = 1.0
HEARTBEAT_TIMEOUT_S = 3.0
MAX_RETRY_S = 5.0
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
        name: str,
        store: Path,
        join: tuple[str, ...],
        descriptor: Descriptor,
        certificates: NodeCertificates,
    ) -> None:
        self.name = name
        self.descriptor = descriptor
        self.postgres = Postgres(store)
        self.members = Members(store)
        self.known = asyncio.Event()
        self.linked = asyncio.Event()
        self.draining = False
        self._store = store
        self._join = [address for address in join if address != descriptor.address]
        self._certificates = certificates
        self._calm = CalmLog()
        self._initializing = asyncio.Lock()
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

    async def joined(self) -> Identity:
        """Wait until this node is part of a cluster."""
        await self.known.wait()
        assert self.identity  # noqa: S101 -- what `known` means
        return self.identity

    def dial_first(self, identity: Identity) -> AbstractAsyncContextManager[rpc.Connection]:
        """Connect to the first node."""
        return rpc.dial(identity.first_address, self._certificates.client)

    async def take_part(self) -> None:
        """Find the cluster, then stay in it for ever.

        Raises:
            PostgresError: this is the first node, and its PostgreSQL failed.
        """
        if self.identity and self.identity.is_first:
            await self.postgres.start()
            self._lead()
        identity = self.identity or await self._find()
        if identity.is_first:
            code = await self.postgres.wait()
            # Stopping the service, systemd signals PostgreSQL as well: our own stop must come first.
            await asyncio.sleep(1)
            raise PostgresError(f"PostgreSQL ended with code {code}")
        await self._follow(identity)

    async def initialize(self) -> None:
        """Make this the first node of a new cluster.

        Raises:
            RpcError: it knows a cluster already.
        """
        async with self._initializing:
            if self.identity:
                raise rpc.RpcError(ALREADY_INITIALIZED)
            log.info("initializing new cluster")
            await self.postgres.create()
            self._remember(Identity(str(uuid.uuid4()), 1, self.descriptor.address))
            self._lead()

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
        self.members.join(1, self.descriptor)
        self.linked.set()

    async def _find(self) -> Identity:
        """Ask everyone on the join list at once, until one knows or `init` comes here."""
        asking = [asyncio.create_task(self._ask(address)) for address in self._join]
        asking.append(asyncio.create_task(self.joined()))
        try:
            ended, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in asking:
                task.cancel()
        self.identity = self.identity or ended.pop().result()
        return self.identity

    async def _ask(self, address: str) -> Identity:
        wait_s = 1.0
        while True:
            with self._reporting(f"unable to join through {address}"):
                async with rpc.dial(address, self._certificates.client) as peer:
                    # The answer may take until somebody runs `init`.
                    reply = await peer.call("Locate", timeout_s=None, cluster_name=self.name)
                return Identity(reply["cluster_id"], 0, reply["first_address"])
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s + 0.5, MAX_RETRY_S)

    async def _follow(self, identity: Identity) -> None:
        while True:
            with self._reporting(f"no contact with the first node at {identity.first_address}"):
                async with self.dial_first(identity) as first:
                    await self._stay(first, identity)
            self.linked.clear()
            await asyncio.sleep(HEARTBEAT_EVERY_S)

    async def _stay(self, first: rpc.Connection, identity: Identity) -> None:
        reply = await first.call(
            "Join",
            node_id=identity.node_id,
            cluster_id=identity.cluster_id,
            cluster_name=self.name,
            descriptor=asdict(self.descriptor),
        )
        identity.node_id = reply["node_id"]
        self._remember(identity)
        self.linked.set()
        self._calm.forget()
        log.info("joined cluster %s as node %d", identity.cluster_id, identity.node_id)
        while True:
            await asyncio.sleep(HEARTBEAT_EVERY_S)
            await first.call("Heartbeat", HEARTBEAT_TIMEOUT_S, node_id=identity.node_id)

    @contextmanager
    def _reporting(self, subject: str) -> Iterator[None]:
        try:
            yield
        except (*rpc.TROUBLES, rpc.RpcError) as error:
            self._calm.warning(subject, str(error) or type(error).__name__)
