"""The settings of the CockroachDB cluster, its licence among them."""

import psycopg
from psycopg import sql

from blocks import CockroachDBLicence
from blocks.logger import logger
from roachmesh.outcome import Outcome
from tasks.deployment import Deployment, has_block, load_block
from tasks.engine import once
from tasks.machines import Machine
from tasks.sql import connect


@once("cluster settings")
def ensure_cluster_settings(deployment: Deployment, machine: Machine) -> Outcome:
    """Have the cluster settings that the topology names, and the licence if there is a block with one.

    CockroachDB shows some values in other words than they were set with, 5m as 00:05:00: those are set
    again each time, and count as changed only if they are shown differently afterwards.

    Raises:
        DatabaseFailed: CockroachDB knows no such setting, or refuses the value.
    """
    wanted = {setting.name: setting.value for setting in deployment.plan.cockroachdb.settings}
    if has_block(CockroachDBLicence, deployment.plan.topology):
        wanted |= load_block(CockroachDBLicence, deployment.plan.topology).cluster_settings()
    with connect(deployment, machine) as connection:
        connection.autocommit = True  # settings are set outside of transactions only
        changed = [name for name, value in wanted.items() if _set(connection, name, value)]
    if changed:
        logger().info("set %s", ", ".join(changed))
    return Outcome(what="cluster settings", change="updated" if changed else "unchanged")


def _set(connection: psycopg.Connection, name: str, value: str) -> bool:
    """Set one, unless it is; tells whether it is another one now."""
    setting = sql.SQL(name)  # a dotted word that the topology, or we, have checked
    before = _shown(connection, setting)
    if before == value:
        return False
    connection.execute(sql.SQL("SET CLUSTER SETTING {} = {}").format(setting, sql.Literal(value)))
    return _shown(connection, setting) != before


def _shown(connection: psycopg.Connection, setting: sql.SQL) -> str | None:
    row = connection.execute(sql.SQL("SHOW CLUSTER SETTING {}").format(setting)).fetchone()
    return str(row[0]) if row and row[0] is not None else None
