"""Try TCP connections from this machine to many others at once.

Request: {"targets": [[address, port]], "timeout_s": seconds}.
Answer: [{"address", "port", "error": null or text, "round_trip_ms", "seen_as": null or address}];
`seen_as` is the source address that `answer.py` saw, null when something else answered.
"""

import asyncio
import os
import socket
import struct
from typing import Any

# CockroachDB says nothing to who says nothing; who does speak, speaks within a round trip.
GREETING_TIMEOUT_S, GREETING_ROUND_TRIPS = 0.2, 3


async def probe(address: str, port: int, timeout_s: float) -> dict[str, Any]:
    """Connect to one target."""
    result: dict[str, Any] = {"address": address, "port": port, "error": None, "seen_as": None}
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(address, port), timeout_s)
    except TimeoutError:
        return {**result, "error": f"no answer in {timeout_s:g} s", "round_trip_ms": None}
    except OSError as exc:
        return {**result, "error": os.strerror(exc.errno) if exc.errno else str(exc), "round_trip_ms": None}
    result["round_trip_ms"] = round_trip_ms(writer.get_extra_info("socket"))
    try:
        patience_s = GREETING_TIMEOUT_S + GREETING_ROUND_TRIPS * result["round_trip_ms"] / 1000
        greeting = await asyncio.wait_for(reader.readline(), patience_s)
    except (TimeoutError, OSError):
        greeting = b""
    writer.close()
    words = greeting.decode(errors="replace").split()
    if len(words) == 2 and words[0] == "roachmesh":
        result["seen_as"] = words[1]
    return result


def round_trip_ms(connected: socket.socket) -> float:
    """Read the time that the kernel measured between SYN and its answer.

    Source: `struct tcp_info` in linux/tcp.h; `tcpi_rtt` stands at byte 68, in microseconds.
    """
    information = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 72)
    (microseconds,) = struct.unpack_from("=I", information, 68)
    return float(round(microseconds / 1000, 2))


async def probe_all(targets: list[tuple[str, int]], timeout_s: float) -> list[dict[str, Any]]:
    """Start every probe before waiting for any."""
    return list(await asyncio.gather(*(probe(address, port, timeout_s) for address, port in targets)))


def main(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Probe everything at once."""
    return asyncio.run(probe_all(request["targets"], request["timeout_s"]))
