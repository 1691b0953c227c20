"""A local port that leads through an SSH session; it is open before anybody is told of it.

Fabric's own `forward_local` returns before its port listens, so that a first connection may be refused.
"""

import select
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

import paramiko

from blocks.logger import logger
from roachmesh.errors import RoachmeshError

BUFFER = 1 << 16


@contextmanager
def open_tunnel(
    transport: paramiko.Transport, remote: Callable[[], tuple[IPv4Address, int]], local_port: int = 0
) -> Iterator[int]:
    """Forward a port of this computer's loopback through a machine; gives the local port.

    Args:
        transport: An open SSH session's to the machine.
        remote: Gives address and port, as seen from the machine; asked for each connection, since a pod
            that was replaced has another address.
        local_port: Port here; 0 for any free one.
    """

    class Forwarder(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                address, port = remote()
                channel = transport.open_channel("direct-tcpip", (str(address), port), self.client_address)
            except (paramiko.SSHException, RoachmeshError) as exc:
                logger().warning("no way to the node: %s", exc)
                return  # which closes the client's connection: it says that too
            with channel:
                _copy(self.request, channel)

    with socketserver.ThreadingTCPServer(("127.0.0.1", local_port), Forwarder) as server:
        server.daemon_threads = True
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def _copy(near: socket.socket, far: paramiko.Channel) -> None:
    """Copy both ways until either side has nothing more to say."""
    streams: list[socket.socket | paramiko.Channel] = [near, far]
    while True:
        readable, _, _ = select.select(streams, [], [])
        for source, sink in ((near, far), (far, near)):
            if source in readable:
                data = source.recv(BUFFER)
                if not data:
                    return
                sink.sendall(data)
