"""Verify a topology: is it what was planned, and does it work?"""

from prefect import flow
from prefect.runtime import flow_run

from blocks.azure_credentials import CredentialsName
from flows.database import verify_sql
from flows.network_test import run_network_test
from flows.parallel import for_each
from flows.run_page import RunPage
from roachmesh.plan import Plan, make_plan
from roachmesh.topology import DEFAULT, Topology
from tasks.database import wait_for_members
from tasks.database_regions import judge_database
from tasks.deployment import Deployment
from tasks.drift import compare_with_plan, judge_drift
from tasks.lifeline import Lifeline
from tasks.machines import find_machine
from tasks.movr import judge_rides
from tasks.pooler_test import judge_storm
from tasks.preflight import read_operators
from tasks.resource_group import read_resource_group
from tasks.store import judge_room


def count_tasks(plan: Plan) -> int:
    """Count the tasks of a run."""
    machines = sum(node.role == "vm" for node in plan.nodes)
    pooled = 2 * len(plan.regions) + 2 if plan.pooler != "none" else 0
    movr = plan.application.kind == "movr"
    return 8 + movr + pooled + 2 * len(plan.regions) + 3 * len(plan.nodes) + machines + len(plan.clusters)


@flow(name="verify", flow_run_name="verify {topology.name}", persist_result=False)
def verify(topology: Topology = DEFAULT, credentials: CredentialsName = "default") -> None:
    """Prove that what is deployed is as planned, and works; only rows in a table of its own are written.

    Args:
        topology: The topology that was deployed, every field as it was then.
        credentials: Name of the block Azure Credentials to use; see Blocks.
    """
    deployment = Deployment(key=str(flow_run.id), plan=make_plan(topology), credentials=credentials)
    with RunPage(deployment.plan, count_tasks(deployment.plan)) as page, Lifeline(deployment, page.finish):
        existing = read_resource_group(deployment)
        deployment = deployment.operated_from(read_operators(deployment, existing))

        findings = compare_with_plan(deployment)
        machines = for_each(deployment.plan.nodes, find_machine, deployment)

        run_network_test(deployment, machines)
        for_each(machines, judge_room, deployment)
        wait_for_members(deployment, machines[0])
        judge_database(deployment, machines[0])
        verify_sql(deployment, machines)
        if deployment.plan.pooler != "none":
            judge_storm(deployment, machines[0])
        if deployment.plan.application.kind == "movr":
            judge_rides(deployment, machines[0])
        judge_drift(deployment, findings)
