"""MovR's tables: filled once by the workload's own `init`, then placed, and opened to the application."""

from typing import Any

import psycopg
from prefect.artifacts import create_markdown_artifact
from psycopg import sql
from psycopg.rows import dict_row

from blocks.logger import logger
from roachmesh.errors import DatabaseBusy, DatabaseFailed, HostFailed, KubernetesRefused
from roachmesh.movr import LOCALITIES, missing_localities
from roachmesh.outcome import Outcome
from roachmesh.render.application import RATE
from roachmesh.render.markdown import table
from roachmesh.security_rules import SQL_PORT
from tasks.certificates import of_root
from tasks.database_node import database_node
from tasks.deployment import Deployment
from tasks.engine import always, once
from tasks.machines import Machine
from tasks.sql import connect
from tasks.wait import wait_until

FILL_TIMEOUT_S = 900
RIDES_TIMEOUT_S = 60.0
OPERATIONS_PER_RIDE = 70  # about; the others are nearly all reads
RIDES = """SELECT crdb_region, count(*), max(start_time),
  max(start_time) > now() AT TIME ZONE 'UTC' - INTERVAL '15 minutes'
FROM rides GROUP BY 1 ORDER BY 1"""
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
def judge_rides(deployment: Deployment, machine: Machine) -> None:
    """Show how many rides each region has written, and let nobody pass where it wrote none lately.

    MovR itself goes on when it is refused, and says so in its log alone.

    Raises:
        NotReadyYet: naming the regions.
    """
    plan = deployment.plan
    rides: list[tuple[Any, ...]] = []

    def all_write() -> bool:
        with connect(deployment, machine, plan.database.name) as connection:
            rides[:] = connection.execute(RIDES).fetchall()
        silent = set(plan.database.regions) - {region for region, _, _, lately in rides if lately}
        if silent:
            raise DatabaseBusy(f"no ride was written lately in {', '.join(sorted(silent))}")
        return True

    try:
        wait_until(
            all_write,
            what="rides of MovR in every region",
            timeout_s=RIDES_TIMEOUT_S + OPERATIONS_PER_RIDE * 10 / (plan.application.rate or RATE),
            advice="See `journalctl -u application` on a region's first machine, or its pods' logs.",
        )
    finally:
        cells = [(region, str(count), str(latest)) for region, count, latest, _ in rides]
        matrix = table(("region", "rides", "the latest began at"), cells)
        create_markdown_artifact(matrix, key="movr", description="MovR's rides by region")


def _fill(deployment: Deployment, machine: Machine, connection: psycopg.Connection) -> bool:
    """Make and fill the tables unless they are there, and tell whether they were not.

    The workload's `init` cannot be repeated, so a mark says that it was begun, and goes when all is done.
    Tables that are there without it are kept, whoever made them, and others than root's in any case.
    """
    found = _owners(connection)
    there = LOCALITIES.keys() & found.keys()
    if FILLING in found and all(found[table] == "root" for table in there):
        tables = sql.SQL(", ").join(map(sql.Identifier, LOCALITIES))
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(tables))
    elif there == LOCALITIES.keys():
        return False
    elif there:
        raise DatabaseFailed(
            f"of MovR's tables only {', '.join(sorted(there))} exist in {deployment.plan.database.name}.",
            advice="Rename or drop them: MovR makes tables of these names.",
        )
    connection.execute(f"CREATE TABLE IF NOT EXISTS {FILLING} (since TIMESTAMPTZ DEFAULT now())")
    _initialise(deployment, machine)
    return True


def _initialise(deployment: Deployment, machine: Machine) -> None:
    """Run the workload's `init` beside a node, as root with a certificate that is there no longer than it."""
    database = deployment.plan.database.name
    node = database_node(deployment, machine)
    files = of_root(deployment.certificates())
    options = "&".join(
        f"{option}={{files}}/{file}"
        for option, file in zip(("sslrootcert", "sslcert", "sslkey"), files, strict=True)
    )
    url = f"postgresql://root@{node.host}:{SQL_PORT}/{database}?sslmode=verify-full&{options}"
    try:
        node.run(["workload", "init", "movr", f"--db={database}", url], files, FILL_TIMEOUT_S)
    except (HostFailed, KubernetesRefused) as exc:
        # One whose run was killed may still be at it. Before each attempt the tables are dropped.
        raise DatabaseBusy(exc.message, where=machine.host.name) from exc


def _tables(connection: psycopg.Connection) -> list[dict[str, Any]]:
    rows = connection.cursor(row_factory=dict_row).execute("SHOW TABLES").fetchall()
    return [row for row in rows if row["schema_name"] == "public"]


def _localities(connection: psycopg.Connection) -> dict[str, str | None]:
    return {row["table_name"]: row["locality"] for row in _tables(connection)}


def _owners(connection: psycopg.Connection) -> dict[str, str]:
    return {row["table_name"]: row["owner"] for row in _tables(connection)}


def _missing_grants(connection: psycopg.Connection, user: str) -> list[str]:
    return [
        f'GRANT ALL ON TABLE {table} TO "{user}"'
        for table in LOCALITIES
        if connection.execute("SELECT has_table_privilege(%s, %s, 'INSERT')", (user, table)).fetchone()
        != (True,)
    ]
