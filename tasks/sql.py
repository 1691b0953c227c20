"""SQL through SSH: the database is not open to the world, so every session goes through a node's tunnel."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from ipaddress import IPv4Address

import psycopg
from psycopg.conninfo import make_conninfo

from roachmesh import names
from roachmesh.errors import DatabaseBusy, DatabaseFailed
from roachmesh.security_rules import SQL_PORT
from tasks.certificates import of_root
from tasks.database_node import database_node
from tasks.deployment import Deployment
from tasks.engine import always
from tasks.hosts import session
from tasks.machines import Machine
from tasks.memory_files import memory_file
from tasks.tunnel import open_tunnel

CONNECT_TIMEOUT_S = 20
TABLE = "roachmesh_verify"


@always("table {machine.host.name}")
def ensure_verify_table(deployment: Deployment, machine: Machine) -> None:
    """Make the table that proves the cluster, through nodes and poolers; rows of old runs go."""
    with _connect(deployment, machine) as connection:
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {TABLE} (run TEXT, region TEXT, through TEXT, "
            "counter INT NOT NULL DEFAULT 0, written_at TIMESTAMPTZ NOT NULL DEFAULT now(), "
            "PRIMARY KEY (run, region, through))"
        )
        if deployment.plan.pooler != "none":
            connection.execute(f"GRANT ALL ON TABLE {TABLE} TO {names.VERIFY_USER}")
        connection.execute(f"DELETE FROM {TABLE} WHERE written_at < now() - INTERVAL '1 day'")  # noqa: S608


@always("write in {machine.node.region}")
def write_row(deployment: Deployment, machine: Machine) -> str:
    """Write a row through a node of a region; gives the region's name."""
    region = machine.node.region
    with _connect(deployment, machine) as connection:
        connection.execute(
            f"INSERT INTO {TABLE} (run, region, through) "  # noqa: S608 -- our own table's name
            "VALUES (%s, %s, 'node') ON CONFLICT (run, region, through) DO UPDATE SET written_at = now()",
            (deployment.key, region),
        )
    return region


@always("read in {machine.node.region}")
def read_rows(deployment: Deployment, machine: Machine, written: Sequence[str]) -> None:
    """Read through a node of a region what was written in all of them.

    Raises:
        DatabaseFailed: a region's row is not there, or not this run's.
    """
    with _connect(deployment, machine) as connection:
        rows = connection.execute(
            f"SELECT region FROM {TABLE} WHERE run = %s AND through = 'node'",  # noqa: S608 -- our table's name
            (deployment.key,),
        ).fetchall()
    absent = set(written) - {region for (region,) in rows}
    if absent:
        raise DatabaseFailed(
            f"rows written in {', '.join(sorted(absent))} cannot be read in {machine.node.region}.",
            where=machine.host.name,
        )


def _connect(deployment: Deployment, machine: Machine) -> AbstractContextManager[psycopg.Connection]:
    return connect(deployment, machine, deployment.plan.database.name)


@contextmanager
def connect(
    deployment: Deployment, machine: Machine, database: str = "defaultdb"
) -> Iterator[psycopg.Connection]:
    """Open a SQL session as root through a node.

    Raises:
        DatabaseFailed: the node refuses, for instance the certificate.
        DatabaseBusy: it does not answer, or asks for the transaction to be repeated.
    """
    with open_access(deployment, machine) as conninfo:
        try:
            with psycopg.connect(conninfo, dbname=database, connect_timeout=CONNECT_TIMEOUT_S) as connection:
                yield connection
        except (psycopg.errors.SerializationFailure, psycopg.OperationalError) as exc:
            raise DatabaseBusy(str(exc).strip(), where=machine.host.name) from exc
        except psycopg.Error as exc:
            raise DatabaseFailed(str(exc).strip(), where=machine.host.name) from exc


@contextmanager
def open_access(deployment: Deployment, machine: Machine) -> Iterator[str]:
    """Open a tunnel to a node, with a certificate of root's that is valid for an hour and on no disk.

    Gives what libpq must be told, for this process and those it starts.
    """
    texts = of_root(deployment.certificates()).values()
    with ExitStack() as held:
        host, port = held.enter_context(open_node(deployment, machine))
        yield node_conninfo(host, port, *(held.enter_context(memory_file(text)) for text in texts))


@contextmanager
def open_node(deployment: Deployment, machine: Machine, local_port: int = 0) -> Iterator[tuple[str, int]]:
    """Open a tunnel to a machine's node; gives what its certificate names it, and the local port."""

    def listens_on() -> tuple[IPv4Address, int]:
        return database_node(deployment, machine).listens_on, SQL_PORT

    transport = session(deployment, machine.host).transport
    with open_tunnel(transport, listens_on, local_port) as port:
        yield database_node(deployment, machine).host, port


def node_conninfo(host: str, port: int, ca: str, certificate: str, key: str) -> str:
    """Say to libpq how to reach a node through a local port, and to verify that it is the node."""
    return make_conninfo(
        host=host,
        hostaddr="127.0.0.1",
        port=port,
        user="root",
        dbname="defaultdb",
        sslmode="verify-full",
        sslrootcert=ca,
        sslcert=certificate,
        sslkey=key,
    )
