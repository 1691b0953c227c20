"""The database across all regions: started, initialised once, complete, and proven by SQL."""

from collections.abc import Sequence

from flows.parallel import for_each
from roachmesh.outcome import Outcome
from tasks.cockroachdb import ensure_cockroachdb_started
from tasks.database import ensure_initialised, wait_for_members
from tasks.deployment import Deployment
from tasks.machines import Machine
from tasks.sql import ensure_verify_table, read_rows, write_row


def bring_up_database(deployment: Deployment, machines: Sequence[Machine]) -> list[Outcome]:
    """Start every node, initialise the cluster through the first, and wait until all are members."""
    started = for_each(machines, ensure_cockroachdb_started, deployment)
    initialised = ensure_initialised(deployment, machines)
    wait_for_members(deployment, machines[0])
    return [*started, initialised]


def verify_sql(deployment: Deployment, machines: Sequence[Machine]) -> None:
    """Write in each region, and read it in every other."""
    one_per_region = list({machine.node.region: machine for machine in reversed(machines)}.values())
    ensure_verify_table(deployment, machines[0])
    written = for_each(one_per_region, write_row, deployment)
    for_each(one_per_region, read_rows, deployment, written)
