"""Answer on the database's ports until stopped, so that the real rules can be tested before it runs.

Arguments: the ports, which must be free. Whoever connects is sent one line, `roachmesh <address it comes
from>`, and then whatever it sends. Runs as a systemd service of type notify, or in a pod.
"""

import asyncio
import os
import socket
import sys

GREETING = "roachmesh"
CHUNK_BYTES = 1 << 16


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Tell a caller the address that it is seen with, and send back what it sends."""
    try:
        writer.write(f"{GREETING} {writer.get_extra_info('peername')[0]}\n".encode())
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # it has gone, and knows that better than we do
    finally:
        writer.close()


def tell_systemd_ready() -> None:
    """Say that all ports are open, where somebody wants to know."""
    if "NOTIFY_SOCKET" not in os.environ:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
        notify.sendall(b"READY=1")


async def main(ports: list[int]) -> None:
    """Listen on every port."""
    for port in ports:
        await asyncio.start_server(answer, "0.0.0.0", port)  # noqa: S104 -- all the node's addresses
    tell_systemd_ready()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main([int(port) for port in sys.argv[1:]]))
