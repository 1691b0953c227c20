"""MovR's tables: filled once by the workload's own `init`, then placed, and opened to the application."""

import psycopg
from prefect.artifacts import create_markdown_artifact
from psycopg import sql
from psycopg.rows import dict_row

from blocks.logger import logger
from roachmesh import certificates
from roachmesh.errors import DatabaseFailed, HostFailed, KubernetesRefused
from roachmesh.movr import LOCALITIES, missing_localities
from roachmesh.outcome import Outcome
from roachmesh.render.markdown import table
from roachmesh.security_rules import SQL_PORT
from tasks.database import CLIENT_LIFETIME
from tasks.database_node import database_node
from tasks.deployment import Deployment
from tasks.engine import always, once
from tasks.machines import Machine
from tasks.sql import connect

FILL_TIMEOUT_S = 900
FILLING = "roachmesh_filling_movr"  # a table that is there while the others are being filled


@once("MovR's tables")
def ensure_movr(deployment: Deployment, machine: Machine) -> Outcome:
    """Have MovR's tables with their first rows, each table where its rows are used.

    Raises:
        DatabaseFailed: some of the tables exist and others do not, or CockroachDB refuses.
    """
    database = deployment.plan.database
    with connect(deployment, machine, database.name) as connection:
        connection.autocommit = True
        filled = _fill(deployment, machine, connection)
        missing = missing_localities(_localities(connection))
        missing += _missing_grants(connection, database.application_user)
        for statement in missing:
            logger().info("%s", statement)
            connection.execute(sql.SQL(statement))
        connection.execute(f"DROP TABLE IF EXISTS {FILLING}")
    return Outcome.of("MovR's tables", new=filled, changed=bool(missing))


@always("rides by region")
def show_rides(deployment: Deployment, machine: Machine) -> None:
    """Show how many rides each region has written, all of its rows living there."""
    with connect(deployment, machine, deployment.plan.database.name) as connection:
        rows = connection.execute(
            "SELECT crdb_region, count(*), max(start_time) FROM rides GROUP BY 1 ORDER BY 1"
        ).fetchall()
    cells = [(region, str(count), str(latest)) for region, count, latest in rows]
    matrix = table(("region", "rides", "the latest began at"), cells)
    create_markdown_artifact(matrix, key="movr", description="MovR's rides by region")


def _fill(deployment: Deployment, machine: Machine, connection: psycopg.Connection) -> bool:
    """Make and fill the tables unless they are there, and tell whether they were not.

    The workload's `init` cannot be repeated, so a mark says that it was begun, and goes when all is done.
    Tables that are there without it are kept, whoever made them.
    """
    found = _localities(connection)
    if FILLING in found:
        tables = sql.SQL(", ").join(map(sql.Identifier, LOCALITIES))
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(tables))
    elif LOCALITIES.keys() <= found.keys():
        return False
    elif there := LOCALITIES.keys() & found.keys():
        raise DatabaseFailed(
            f"of MovR's tables only {', '.join(sorted(there))} exist in {deployment.plan.database.name}.",
            advice="Rename or drop them: MovR makes tables of these names.",
        )
    connection.execute(f"CREATE TABLE IF NOT EXISTS {FILLING} (since TIMESTAMPTZ DEFAULT now())")
    _initialise(deployment, machine)
    return True


def _initialise(deployment: Deployment, machine: Machine) -> None:
    """Run the workload's `init` beside a node, as root with a certificate that is there no longer than it."""
    block, database = deployment.certificates(), deployment.plan.database.name
    root = block.issue(certificates.client_purpose("root"), CLIENT_LIFETIME)
    node = database_node(deployment, machine)
    options = "&".join(
        f"{option}={{files}}/{file}"
        for option, file in (("sslrootcert", "ca.crt"), ("sslcert", "root.crt"), ("sslkey", "root.key"))
    )
    url = f"postgresql://root@{node.host}:{SQL_PORT}/{database}?sslmode=verify-full&{options}"
    files = {"ca.crt": block.ca_certificate, "root.crt": root.certificate, "root.key": root.key}
    try:
        node.run(["workload", "init", "movr", f"--db={database}", url], files, FILL_TIMEOUT_S)
    except (HostFailed, KubernetesRefused) as exc:
        raise DatabaseFailed(exc.message, where=machine.host.name) from exc


def _localities(connection: psycopg.Connection) -> dict[str, str | None]:
    rows = connection.cursor(row_factory=dict_row).execute("SHOW TABLES").fetchall()
    return {row["table_name"]: row["locality"] for row in rows}


def _missing_grants(connection: psycopg.Connection, user: str) -> list[str]:
    return [
        f"GRANT ALL ON TABLE {table} TO {user}"
        for table in LOCALITIES
        if connection.execute("SELECT has_table_privilege(%s, %s, 'INSERT')", (user, table)).fetchone()
        != (True,)
    ]
