"""Test the way from here to many others at once; what fails is tried again until patience ends.

Request: {"targets": [{"address", "name": its name in DNS or null, "answers": whether answer.py is there}],
"ports": [numbers], "timeout_s": for each step, "patience_s": for all}.
Answer, for each target: {"problems": {what fails: what was said}, "round_trip_ms": number or null,
"packet_bytes": number or null}.

Called with a request as its argument, it writes the answer to standard output: a pod's result is its log.
"""

import asyncio
import json
import os
import socket
import struct
import sys
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
Seen = dict[str, Any]

GREETING = b"roachmesh"
BULK = os.urandom(1 << 20)
BULK_TIMEOUTS = 3  # how much longer than another step it may take
CHUNK_BYTES = 1 << 16
PAUSE_S = 1.0
LOOK_UPS_HANGING = 3  # of one target at the same time


async def attempt(seen: Seen, what: str, step: Awaitable[T], timeout_s: float) -> T | None:
    """Give what a step gives; if it fails, take down what was said."""
    try:
        return await asyncio.wait_for(step, timeout_s)
    except TimeoutError:
        said = f"no answer in {timeout_s:g} s"
    except OSError as exc:  # a failed look-up has a number below zero
        number = exc.errno or 0
        said = os.strerror(number) if number > 0 else exc.strerror or str(exc)
    seen["problems"][what] = said
    return None


async def try_name(target: dict[str, Any]) -> None:
    """Look up the name of a target: it must be its address, and nothing else."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(f"{target['name']}.", None, family=socket.AF_INET, type=socket.SOCK_STREAM)
    addresses = sorted({str(address[0]) for *_, address in found})
    if addresses != [target["address"]]:
        raise ConnectionError(f"resolves to {' and '.join(addresses)}, not {target['address']}")


async def try_port(seen: Seen, target: dict[str, Any], port: int, timeout_s: float, *, bulk: bool) -> None:
    """Connect to one port, and compare the address that arrives there with the one that was sent."""
    what = f"port {port}"
    streams = await attempt(seen, what, asyncio.open_connection(target["address"], port), timeout_s)
    if streams is None:
        return
    reader, writer = streams
    connection = writer.get_extra_info("socket")
    try:
        seen["round_trip_ms"] = max(seen["round_trip_ms"] or 0, round_trip_ms(connection))
        greeting = await attempt(seen, what, reader.readline(), timeout_s) if target["answers"] else None
        if greeting is None:
            return
        seen_as, own = greeting.removeprefix(GREETING).strip().decode(errors="replace"), address(connection)
        if not greeting.startswith(GREETING):
            seen["problems"][what] = "something else answers there"
        elif seen_as != own:
            seen["problems"]["source address"] = f"arrives from {seen_as} instead of {own}"
        elif bulk and await attempt(seen, "1 MiB", echo(reader, writer), BULK_TIMEOUTS * timeout_s):
            seen["packet_bytes"] = packet_bytes(connection)
    finally:
        writer.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Send 1 MiB, and receive the same at the same time."""
    sending = asyncio.ensure_future(send(writer))
    try:
        received = 0
        while received < len(BULK):
            data = await reader.read(CHUNK_BYTES)
            if not data:
                raise ConnectionError(f"closed after {received} bytes")
            if data != BULK[received : received + len(data)]:
                raise ConnectionError(f"differs within {len(data)} bytes after the first {received}")
            received += len(data)
        await sending
    finally:
        sending.cancel()
    return True


async def send(writer: asyncio.StreamWriter) -> None:
    """Send 1 MiB no faster than the other side takes it."""
    for start in range(0, len(BULK), CHUNK_BYTES):
        writer.write(BULK[start : start + CHUNK_BYTES])
        await writer.drain()


def address(connection: socket.socket) -> str:
    """Give the address that a connection is sent from."""
    return str(connection.getsockname()[0])


def round_trip_ms(connection: socket.socket) -> float:
    """Read the time that the kernel measured, right after SYN and its answer.

    Source: `struct tcp_info` in linux/tcp.h; `tcpi_rtt` stands at byte 68, in microseconds.
    """
    (microseconds,) = struct.unpack_from("=I", tcp_info(connection), 68)
    return float(round(microseconds / 1000, 2))


def packet_bytes(connection: socket.socket) -> int:
    """Give the size of the packets in which the kernel sends; it sets DF on all of TCP's.

    It makes them smaller when a router says that they are too large. Source: `struct tcp_info`;
    `tcpi_snd_mss` at byte 16 counts neither the headers' 40 bytes, nor the 12 of time stamps (bit 0 of
    byte 5).
    """
    information = tcp_info(connection)
    (segment_bytes,) = struct.unpack_from("=I", information, 16)
    return int(segment_bytes) + 40 + 12 * (information[5] & 1)


def tcp_info(connection: socket.socket) -> bytes:
    """Read what the kernel knows of a connection."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 72)


async def look(target: dict[str, Any], ports: list[int], timeout_s: float) -> Seen:
    """Try everything with one target, once and at once; the first port carries the 1 MiB."""
    seen: Seen = {"problems": {}, "round_trip_ms": None, "packet_bytes": None}
    steps: list[Awaitable[None]] = [
        try_port(seen, target, port, timeout_s, bulk=port == ports[0]) for port in ports
    ]
    if target["name"]:
        steps.append(attempt(seen, "name", try_name(target), timeout_s))
    await asyncio.gather(*steps)
    return {
        **seen,
        "problems": {what: seen["problems"][what] for what in sorted(seen["problems"], key=_order)},
    }


def _order(what: str) -> tuple[bool, str]:
    """Put ports first: without them nothing else works either."""
    return not what.startswith("port "), what


async def probe(target: dict[str, Any], request: dict[str, Any]) -> Seen:
    """Try a target until all is well, or patience ends."""
    loop = asyncio.get_running_loop()
    end = loop.time() + request["patience_s"]
    while True:
        seen = await look(target, request["ports"], request["timeout_s"])
        if not seen["problems"] or loop.time() > end:
            return seen
        await asyncio.sleep(PAUSE_S)


async def probe_all(request: dict[str, Any]) -> list[Seen]:
    """Probe every target at once; look-ups hang in threads, also those that were given up."""
    targets = request["targets"]
    threads = 1 + LOOK_UPS_HANGING * len(targets)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(threads))
    return list(await asyncio.gather(*(probe(target, request) for target in targets)))


def main(request: dict[str, Any]) -> list[Seen]:
    """Probe everything."""
    return asyncio.run(probe_all(request))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))) + "\n")
