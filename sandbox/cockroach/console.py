"""What answers on the DB Console's port: health checks, and a page that says what this is.

Source: pkg/server/admin.go (Health) and the health endpoints page of CockroachDB's documentation.
"""

import asyncio
import json
from urllib.parse import parse_qs, urlsplit

from sandbox.cockroach.logs import STAND_IN

REQUEST_TIMEOUT_S = 10
REASONS = {200: "OK", 404: "Not Found", 503: "Service Unavailable"}
UNAVAILABLE = 14  # the code of gRPC


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, unready: str) -> None:
    """Answer one request; `unready` says why this node takes no clients, or is empty."""
    async with asyncio.timeout(REQUEST_TIMEOUT_S):
        request = (await reader.readuntil(b"\r\n\r\n")).decode(errors="replace")
    target = urlsplit(request.split()[1])
    status, kind, body = _page(target.path, parse_qs(target.query), unready)
    writer.write(
        f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
    )
    await writer.drain()


def _page(path: str, query: dict[str, list[str]], unready: str) -> tuple[int, str, str]:
    if path == "/":
        return 200, "text/html", f"<!doctype html><title>CockroachDB stand-in</title><p>{STAND_IN}\n"
    if path not in ("/health", "/_admin/v1/health"):
        return 404, "text/plain", "404 page not found\n"
    if unready and query.get("ready", [""])[0] in ("1", "t", "true"):
        problem = {"error": unready, "code": UNAVAILABLE, "message": unready, "details": []}
        return 503, "application/json", json.dumps(problem, indent=2)
    return 200, "application/json", "{\n\n}"
