"""A local port that leads through an SSH session; it is open before anybody is told of it.

Fabric's own `forward_local` returns before its port listens, so that a first connection may be refused.
"""

import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import paramiko

BUFFER = 1 << 16


@contextmanager
def open_tunnel(transport: paramiko.Transport, remote_port: int, local_port: int = 0) -> Iterator[int]:
    """Forward a port of this computer's loopback to one of the machine's; gives the local port.

    Args:
        transport: An open SSH session's.
        remote_port: Port on the machine's loopback.
        local_port: Port here; 0 for any free one.
    """

    class Forwarder(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            channel = transport.open_channel("direct-tcpip", ("127.0.0.1", remote_port), self.client_address)
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
