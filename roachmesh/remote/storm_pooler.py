"""Have many clients at one pooler at once.

Request: {"host", "port", "database", "table", "user", "password", "ca": PEM, "clients", "timeout_s"}.
Answer: {"answered": how many got their answer, "problems": sentences of the others, each once, "seconds"}.

Needs psycopg, Debian's python3-psycopg.
"""

import asyncio
import os
import resource
import time
from typing import Any

import psycopg


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Let them all come."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    authority = os.memfd_create("authority")
    try:
        os.write(authority, request["ca"].encode())
        return asyncio.run(storm(request, f"/proc/{os.getpid()}/fd/{authority}"))
    finally:
        os.close(authority)


async def storm(request: dict[str, Any], ca: str) -> dict[str, Any]:
    """Connect, ask and go, all at once."""
    started = time.monotonic()
    barrier = asyncio.Barrier(request["clients"])  # nobody asks before all are connected
    clients = [client(request, ca, barrier) for _ in range(request["clients"])]
    problems = [str(one).strip() or repr(one) for one in await asyncio.gather(*clients) if one]
    return {
        "answered": request["clients"] - len(problems),
        "problems": sorted(set(problems)),
        "seconds": time.monotonic() - started,
    }


async def client(request: dict[str, Any], ca: str, barrier: asyncio.Barrier) -> Exception | None:
    """Be one of them; gives what went wrong."""
    try:
        async with asyncio.timeout(request["timeout_s"]):
            session = await psycopg.AsyncConnection.connect(
                host=request["host"],
                port=request["port"],
                dbname=request["database"],
                user=request["user"],
                password=request["password"],
                sslmode="verify-full",
                sslrootcert=ca,
                autocommit=True,
            )
            try:
                await barrier.wait()
                await session.execute(f"SELECT count(*) FROM {request['table']}")  # noqa: S608 -- ours
            finally:
                await session.close()
    except (psycopg.Error, TimeoutError, asyncio.BrokenBarrierError) as error:
        await barrier.abort()  # the others need not wait for this one
        return error
    return None
