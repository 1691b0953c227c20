"""Answer on the database's ports until stopped, so that the real rules can be tested before it runs.

Arguments: the ports, which must be free. Whoever connects is sent one line, `roachmesh <address it comes
from>`. Runs as a systemd service of type notify.
"""

import asyncio
import os
import socket
import sys

GREETING = "roachmesh"


async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Tell a caller the address that it is seen with."""
    writer.write(f"{GREETING} {writer.get_extra_info('peername')[0]}\n".encode())
    await writer.drain()
    writer.close()


def tell_systemd_ready() -> None:
    """Say that all ports are open."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
        notify.sendall(b"READY=1")


async def main(ports: list[int]) -> None:
    """Listen on every port."""
    for port in ports:
        await asyncio.start_server(greet, "0.0.0.0", port)  # noqa: S104 -- all the node's addresses
    tell_systemd_ready()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main([int(port) for port in sys.argv[1:]]))
