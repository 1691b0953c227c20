"""The database across all regions: started, initialised once, complete, and proven by SQL."""

from collections.abc import Sequence

from flows.parallel import Parallel, for_each
from roachmesh.outcome import Outcome
from tasks.cluster_settings import ensure_cluster_settings
from tasks.cockroachdb import ensure_cockroachdb_started
from tasks.cockroachdb_pods import ensure_cockroachdb_in_pods, wait_for_pods_ready
from tasks.database import ensure_initialised, wait_for_members
from tasks.database_regions import ensure_database
from tasks.deployment import Deployment
from tasks.machines import Machine
from tasks.pooler_test import judge_poolers, use_poolers, write_through_pooler
from tasks.sql import ensure_verify_table, read_rows, write_row
from tasks.sql_users import ensure_sql_users


def bring_up_database(deployment: Deployment, machines: Sequence[Machine]) -> list[Outcome]:
    """Start every node, initialise the cluster through the first, and have the database in all regions."""
    started = start_nodes(deployment, machines)
    initialised = ensure_initialised(deployment, machines)
    for_each(deployment.plan.clusters, wait_for_pods_ready, deployment)
    wait_for_members(deployment, machines[0])
    settings = ensure_cluster_settings(deployment, machines[0])
    database = ensure_database(deployment, machines[0])
    return [*started, initialised, settings, database, ensure_sql_users(deployment, machines[0])]


def start_nodes(deployment: Deployment, machines: Sequence[Machine]) -> list[Outcome]:
    """Start all nodes at once: a pod on each machine of a k3s region, a service on every other one."""
    work = Parallel()
    for region in deployment.plan.clusters:
        work.start(ensure_cockroachdb_in_pods, deployment, region)
    for machine in machines:
        if machine.node.role == "vm":
            work.start(ensure_cockroachdb_started, deployment, machine)
    return work.join()


def verify_sql(deployment: Deployment, machines: Sequence[Machine]) -> None:
    """Write in each region, and read it in every other: through nodes, then through poolers."""
    first = [machine for machine in machines if machine.node.number == 1]
    ensure_verify_table(deployment, machines[0])
    written = for_each(first, write_row, deployment)
    for_each(first, read_rows, deployment, written)
    if deployment.plan.pooler != "none":
        for_each(first, write_through_pooler, deployment, machines)
        used = for_each(first, use_poolers, deployment, machines)
        judge_poolers(deployment, used)
