"""`cockroach start`: a node's ports, its signals, its end."""

import asyncio
import os
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from sandbox.cockroach import console, gateway, rpc
from sandbox.cockroach.certificates import CertificateError, NodeCertificates
from sandbox.cockroach.cluster import Cluster
from sandbox.cockroach.logs import CalmLog, log
from sandbox.cockroach.peers import serve_peer

TLS_HANDSHAKE = b"\x16"
DRAIN_S = 0.3

Handler = Callable[[socket.socket], Awaitable[None]]


class Node:
    """A running node: hands what comes to RPC, SQL or the console.

    Args:
        cluster: Its place in the cluster.
        certificates: What it serves and dials with.
        ports: Where it listens for `rpc`, `sql` and `console`; the first two may be one.
    """

    def __init__(
        self, cluster: Cluster, certificates: NodeCertificates, ports: dict[str, tuple[str, int]]
    ) -> None:
        self.cluster = cluster
        self.certificates = certificates
        self.ports = ports
        self._connections: set[asyncio.Task[None]] = set()
        self._calm = CalmLog()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises:
            OSError: a port cannot be had.
            PostgresError: the PostgreSQL underneath failed.
        """
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_certificates)
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait())]
        try:
            tasks += [asyncio.create_task(self._accept(*port)) for port in self._listen()]
            tasks.append(asyncio.create_task(self.cluster.take_part()))
            tasks.append(asyncio.create_task(self._announce()))
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in () if stop.is_set() else ended:
                task.result()  # raises what ended it
            log.info("initiating graceful shutdown of server")
        finally:
            await self._drain(tasks)
        log.info("server drained and shutdown completed")

    def _listen(self) -> list[tuple[socket.socket, Handler]]:
        listeners: list[tuple[socket.socket, Handler]] = []
        for address in dict.fromkeys(self.ports.values()):
            listener = socket.create_server(address, backlog=512)
            listener.setblocking(False)
            log.info("listening on %s:%d", *listener.getsockname()[:2])
            is_console = address == self.ports["console"]
            listeners.append((listener, self._serve_console if is_console else self._serve_node))
        return listeners

    async def _announce(self) -> None:
        """Tell systemd: before `init` when listening, after it when serving SQL.

        Source: the readiness callback in pkg/cli/start.go.
        """
        if not self.cluster.known.is_set():
            log.info(
                "initial startup completed; will now attempt to join a running cluster, "
                "or wait for `cockroach init`; clients are served after that"
            )
            notify("READY=1")
        await self.cluster.linked.wait()
        log.info(
            "node startup completed: clusterID %s", self.cluster.identity and self.cluster.identity.cluster_id
        )
        notify("READY=1")
        await asyncio.Event().wait()

    async def _drain(self, tasks: list[asyncio.Task[Any]]) -> None:
        notify("STOPPING=1")
        for task in tasks:
            task.cancel()
        await self.cluster.stop()
        if self._connections:
            # PostgreSQL has told its sessions; this lets them hear it.
            await asyncio.wait(self._connections, timeout=DRAIN_S)
        for connection in self._connections:
            connection.cancel()

    def _reload_certificates(self) -> None:
        log.info('received signal "hangup", triggering certificate reload')
        try:
            self.certificates.reload()
        except CertificateError as error:
            log.warning("could not reload certificates: %s", error)
        else:
            log.info("successfully reloaded certificates")

    async def _accept(self, listener: socket.socket, handler: Handler) -> None:
        loop = asyncio.get_running_loop()
        with listener:
            while True:
                try:
                    connection, _ = await loop.sock_accept(listener)
                except OSError as error:  # too many open files, or a client that was gone at once
                    self._calm.warning("cannot accept a connection", str(error))
                    await asyncio.sleep(0.1)
                    continue
                connection.setblocking(False)
                task = asyncio.create_task(self._serve(connection, handler))
                self._connections.add(task)
                task.add_done_callback(self._connections.discard)

    async def _serve(self, connection: socket.socket, handler: Handler) -> None:
        try:
            rpc.keep_alive(connection)
            peer = connection.getpeername()[0]
            await handler(connection)
        except ssl.SSLError as error:
            self._calm.warning(f"connection from {peer}", f"TLS handshake error: {error}")
        except (*rpc.TROUBLES, ValueError, LookupError, asyncio.LimitOverrunError) as error:
            # Probes that only connect, clients that leave, and nonsense end here: no news.
            log.debug("connection ended: %s", error)
        finally:
            connection.close()

    async def _serve_node(self, connection: socket.socket) -> None:
        """Tell SQL from RPC by the first byte: PostgreSQL's clients ask for TLS, nodes begin it."""
        is_sql = await _first_byte(connection) != TLS_HANDSHAKE
        if is_sql:
            await self.cluster.joined()  # clients of a node without a cluster wait
            if not await gateway.negotiate(connection, self.cluster):
                return
        streams = await rpc.accept_tls(connection, self.certificates.server)
        try:
            if is_sql:
                await gateway.take_in(streams, self.cluster)
            else:
                await serve_peer(streams, self.cluster)
        finally:
            streams[1].close()

    async def _serve_console(self, connection: socket.socket) -> None:
        streams = await rpc.accept_tls(connection, self.certificates.console)
        try:
            await console.answer(*streams, self.cluster.unready)
        finally:
            streams[1].close()


async def _first_byte(connection: socket.socket) -> bytes:
    """Wait for the first byte, and leave it in the socket."""
    loop = asyncio.get_running_loop()
    readable = loop.create_future()
    loop.add_reader(connection, readable.set_result, None)
    readable.add_done_callback(lambda _: loop.remove_reader(connection))
    await readable
    return connection.recv(1, socket.MSG_PEEK)


def notify(state: str) -> None:
    """Tell systemd a state, when it started us with `Type=notify`. Source: sd_notify(3)."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bus:
            bus.sendto(state.encode(), "\0" + path[1:] if path.startswith("@") else path)
