"""The application's database in its regions, with its survival goal."""

import psycopg
from psycopg.rows import dict_row

from blocks.logger import logger
from roachmesh.database_regions import DatabaseFound, statements
from roachmesh.errors import DatabaseFailed
from roachmesh.outcome import Outcome
from tasks.deployment import Deployment
from tasks.engine import always, once
from tasks.machines import Machine
from tasks.sql import connect


@once("database {deployment.plan.database.name}")
def ensure_database(deployment: Deployment, machine: Machine) -> Outcome:
    """Have the application's database in all regions of the topology, surviving what that says.

    Raises:
        DatabaseFailed: CockroachDB refuses, and with what words.
    """
    wanted = deployment.plan.database
    with connect(deployment, machine) as connection:
        connection.autocommit = True  # changes of regions cannot be part of a transaction
        found = _read(connection, wanted.name)
        missing = statements(wanted, found)
        for statement in missing:
            logger().info("%s", statement)
            connection.execute(statement)
    return Outcome.of(f"database {wanted.name}", new=found is None, changed=bool(missing))


@always("database {deployment.plan.database.name} as planned")
def judge_database(deployment: Deployment, machine: Machine) -> None:
    """Let nothing pass but a database with the planned regions and survival goal.

    Raises:
        DatabaseFailed: naming what was never said to it.
    """
    wanted = deployment.plan.database
    with connect(deployment, machine) as connection:
        missing = statements(wanted, _read(connection, wanted.name))
    if missing:
        raise DatabaseFailed(
            f"database {wanted.name} is not as planned; it lacks: {'; '.join(missing)}.",
            advice="Deploying the topology again mends it.",
        )


def _read(connection: psycopg.Connection, name: str) -> DatabaseFound | None:
    """Read a database's regions and goal; None when there is no such database."""
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
        return None
    rows = connection.cursor(row_factory=dict_row).execute(f'SHOW REGIONS FROM DATABASE "{name}"').fetchall()
    if not rows:
        return DatabaseFound()
    goal = connection.execute(f'SHOW SURVIVAL GOAL FROM DATABASE "{name}"').fetchone()
    return DatabaseFound(
        primary_region=next(row["region"] for row in rows if row["primary"]),
        regions=frozenset(row["region"] for row in rows),
        survival=goal[1] if goal else None,
    )
