"""SQL sessions at the first node: authenticated, then passed to PostgreSQL as their role."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.cockroach import dialect, pgwire, rpc, scram
from sandbox.cockroach.postgres import Postgres, PostgresError

Regions = dict[str, list[str]]

ROLE = """
SELECT rolcanlogin, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END
FROM pg_authid WHERE rolname = '{name}'
"""


async def serve(client: rpc.Streams, session: rpc.Message, postgres: Postgres, regions: Regions) -> None:
    """Authenticate a session if no certificate has, and splice it with PostgreSQL.

    Args:
        client: The client, or the gateway that forwards it.
        session: `parameters` of its start-up, whether it is `authenticated`, its `client_address`, and
            `settings` that say through which node it came.
        postgres: The server underneath.
        regions: The cluster's regions, with the zones of each.
    """
    _, writer = client
    parameters: dict[str, str] = session["parameters"]
    settings: dict[str, str] = session["settings"] | {"standin.localities": json.dumps(regions)}
    refusal = await _refusal(client, parameters.get("user", ""), session["authenticated"], postgres)
    if refusal:
        writer.write(pgwire.error_response(*refusal))
        return
    backend = await postgres.connect()
    try:
        backend[1].write(pgwire.startup({"database": "defaultdb"} | parameters | settings))
        process = await _begin(backend[0], writer, settings["standin.version"])
        if process:
            with _listed(postgres, process, settings["standin.node_id"], session["client_address"]):
                await pgwire.splice(client, backend, _pass_statements)
    finally:
        backend[1].close()


async def _begin(backend: asyncio.StreamReader, writer: asyncio.StreamWriter, version: str) -> int:
    """Pass on how PostgreSQL begins a session; return its process's number, or 0 if it refused."""
    while True:
        kind, payload = await pgwire.read_message(backend)
        writer.write(pgwire.message(kind, payload))
        if kind == b"R":
            told = f"CockroachDB CCL {version} (Roachmesh stand-in)"
            writer.write(pgwire.message(b"S", b"crdb_version\0" + pgwire.cstring(told)))
        elif kind == b"E":
            return 0
        elif kind == b"K":
            return int.from_bytes(payload[:4], "big")


@contextmanager
def _listed(postgres: Postgres, process: int, node_id: str, client_address: str) -> Iterator[None]:
    postgres.sessions.add(process, node_id, client_address)
    try:
        yield
    finally:
        postgres.sessions.remove(process)


async def _pass_statements(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on a client's messages, in words that PostgreSQL understands."""
    while True:
        kind, payload = await pgwire.read_message(reader)
        writer.write(pgwire.message(kind, dialect.translate_message(kind, payload)))
        await writer.drain()


async def _refusal(
    client: rpc.Streams, user: str, authenticated: bool, postgres: Postgres
) -> tuple[str, str] | None:
    try:
        rows = await postgres.query(ROLE.format(name=user.replace("'", "''")))
    except (OSError, PostgresError):
        return pgwire.NO_QUORUM
    # The same words for no such user, so that nobody learns who exists.
    failed = ("28P01", f"password authentication failed for user {user}")
    if not rows:
        return failed
    can_login, verifier = rows[0]
    if can_login != "t":
        return "28000", f"{user} does not have login privilege"
    if authenticated or await scram.authenticate(*client, verifier or scram.unknown_verifier()):
        return None
    return failed
