"""`clustermesh-apiserver clustermesh`: tells other clusters about this one, and our agents about the others.

What is known of the others comes from the kvstoremesh container beside it, over a socket that both see.
"""

import json
import logging
import os
import socket
import ssl
import threading
from pathlib import Path

from sandbox.cilium.mesh.protocol import HEARTBEAT_S, TROUBLES, State
from sandbox.cluster.kubernetes_api import KubernetesApi

PORT = 2379
SECRETS = Path("/var/lib/etcd-secrets")
SOCKET = Path("/run/clustermesh/kvstoremesh.sock")
HANDSHAKE_TIMEOUT_S = 5.0

log = logging.getLogger("clustermesh-apiserver")


class Server:
    """What this server tells, and whom."""

    def __init__(self, name: str, cluster_id: int) -> None:
        self._state: State = {"name": name, "id": cluster_id, "nodes": 0, "remotes": {}}
        self._changed = threading.Condition()
        self._revision = 0

    def set(self, field: str, value: object) -> None:
        """Change what is told; who listens hears it at once."""
        with self._changed:
            if self._state[field] != value:
                self._state[field] = value
                self._revision += 1
                self._changed.notify_all()

    def tell(self, connection: socket.socket) -> None:
        """Write the state to a client whenever it changes, and now and then, until the client is gone."""
        said = -1
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._revision != said, timeout=HEARTBEAT_S)  # noqa: B023
                said, line = self._revision, json.dumps(self._state)
            connection.sendall(line.encode() + b"\n")


def main() -> None:
    """Serve until the pod ends."""
    name, cluster_id = os.environ["CLUSTER_NAME"], int(os.environ["CLUSTER_ID"])
    log.info("this is a stand-in for Cilium's clustermesh-apiserver, made by Roachmesh's sandbox; not Cilium")
    server = Server(name, cluster_id)
    threading.Thread(target=_watch_nodes, args=(server,), daemon=True).start()
    threading.Thread(target=_hear_kvstoremesh, args=(server,), daemon=True).start()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SECRETS / "tls.crt", SECRETS / "tls.key")
    context.load_verify_locations(SECRETS / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as in protocol.py
    listener = socket.create_server(("", PORT), backlog=64)
    log.info("cluster %s (id %d): listening on port %d", name, cluster_id, PORT)
    while True:
        connection, address = listener.accept()
        threading.Thread(target=serve, args=(server, context, connection, address), daemon=True).start()


def serve(server: Server, context: ssl.SSLContext, raw: socket.socket, address: tuple[str, int]) -> None:
    """Serve one connection until it ends."""
    raw.settimeout(HANDSHAKE_TIMEOUT_S)
    who = f"{address[0]}:{address[1]}"
    try:
        with raw, context.wrap_socket(raw, server_side=True) as connection:
            log.info("%s: connected", who)
            server.tell(connection)
    except ssl.SSLEOFError:
        log.debug("%s: ended without a word, as probes do", who)
    except OSError as error:
        log.info("%s: %s", who, error)


def _watch_nodes(server: Server) -> None:
    names = set()
    synced = False
    for event in KubernetesApi.in_cluster().watch("/api/v1/nodes"):
        synced = synced or event.type == "SYNCED"
        if event.type == "DELETED":
            names.discard(event.object["metadata"]["name"])
        elif event.type == "ADDED":
            names.add(event.object["metadata"]["name"])
        if synced:
            server.set("nodes", len(names))


def _hear_kvstoremesh(server: Server) -> None:
    SOCKET.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(SOCKET))
        listener.listen()
        while True:
            connection, _ = listener.accept()
            try:
                with connection:
                    for line in connection.makefile():
                        server.set("remotes", json.loads(line))
            except TROUBLES as error:
                log.warning("kvstoremesh: %s", error)
            server.set("remotes", {})
