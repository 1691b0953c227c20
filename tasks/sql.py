"""SQL through SSH: the database is not open to the world, so every session goes through a node's tunnel."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from roachmesh import certificates
from roachmesh.errors import DatabaseBusy, DatabaseFailed
from roachmesh.security_rules import SQL_PORT
from tasks.deployment import Deployment
from tasks.engine import judging
from tasks.hosts import session
from tasks.machines import Machine

CLIENT_LIFETIME = timedelta(hours=1)
CONNECT_TIMEOUT_S = 20
TABLE = "roachmesh_verify"


@judging("table {machine.host.name}")
def ensure_verify_table(deployment: Deployment, machine: Machine) -> None:
    """Make the table that `write_row` and `read_rows` prove the cluster with."""
    with connect(deployment, machine) as connection:
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {TABLE} "
            "(region TEXT PRIMARY KEY, run TEXT NOT NULL, written_at TIMESTAMPTZ NOT NULL DEFAULT now())"
        )


@judging("write in {machine.node.region}")
def write_row(deployment: Deployment, machine: Machine) -> str:
    """Write a row through a node of a region; gives the region's name."""
    region = machine.node.region
    with connect(deployment, machine) as connection:
        connection.execute(
            f"INSERT INTO {TABLE} (region, run) VALUES (%s, %s) "  # noqa: S608 -- our own table's name
            "ON CONFLICT (region) DO UPDATE SET run = excluded.run, written_at = now()",
            (region, deployment.key),
        )
    return region


@judging("read in {machine.node.region}")
def read_rows(deployment: Deployment, machine: Machine, written: Sequence[str]) -> int:
    """Read through a node of a region what was written in all of them; gives the number of rows.

    Raises:
        DatabaseFailed: a region's row is not there, or not this run's.
    """
    with connect(deployment, machine) as connection:
        rows = connection.execute(
            f"SELECT region FROM {TABLE} WHERE run = %s",  # noqa: S608 -- our own table's name
            (deployment.key,),
        ).fetchall()
    absent = set(written) - {region for (region,) in rows}
    if absent:
        raise DatabaseFailed(
            f"rows written in {', '.join(sorted(absent))} cannot be read in {machine.node.region}.",
            where=machine.host.name,
        )
    return len(rows)


@contextmanager
def connect(deployment: Deployment, machine: Machine, user: str = "root") -> Iterator[psycopg.Connection]:
    """Open a SQL session through a node, verified against the cluster's authority.

    The client certificate is made for this session, and it and its key never touch a disk.

    Raises:
        DatabaseFailed: the node refuses, for instance the certificate.
        DatabaseBusy: it does not answer, or asks for the transaction to be repeated.
    """
    authority = deployment.certificates().authority()
    client = certificates.issue(
        authority, certificates.client_purpose(user), datetime.now(UTC), CLIENT_LIFETIME
    )
    with ExitStack() as held:
        port = held.enter_context(tunnel(deployment, machine))
        parameters: dict[str, Any] = {
            "hostaddr": "127.0.0.1",
            "port": port,
            "host": str(machine.node.address),
            "user": user,
            "dbname": "defaultdb",
            "sslmode": "verify-full",
            "sslrootcert": held.enter_context(_memory_file(authority.certificate)),
            "sslcert": held.enter_context(_memory_file(client.certificate)),
            "sslkey": held.enter_context(_memory_file(client.key)),
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "roachmesh",
        }
        try:
            with psycopg.connect(**parameters) as connection:
                yield connection
        except (psycopg.errors.SerializationFailure, psycopg.OperationalError) as exc:
            raise DatabaseBusy(str(exc).strip(), where=machine.host.name) from exc
        except psycopg.Error as exc:
            raise DatabaseFailed(str(exc).strip(), where=machine.host.name) from exc


@contextmanager
def tunnel(deployment: Deployment, machine: Machine, local_port: int | None = None) -> Iterator[int]:
    """Open a local port that leads to a node's SQL port; gives the port."""
    port = local_port or _free_port()
    with session(deployment, machine.host) as host:  # noqa: SIM117 -- the tunnel needs an open session
        with host.connection.forward_local(port, remote_port=SQL_PORT, remote_host="127.0.0.1"):
            yield port


@contextmanager
def _memory_file(text: str) -> Iterator[str]:
    """Give a path that only this process can read, for what libpq insists on reading from a file."""
    descriptor = os.memfd_create("roachmesh")
    try:
        os.fchmod(descriptor, 0o600)  # libpq refuses a key that others may read
        os.write(descriptor, text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
