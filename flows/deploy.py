"""Deploy a topology: one CockroachDB across its regions, verified."""

from typing import Literal
from uuid import UUID

from prefect import flow
from prefect.runtime import flow_run

from blocks.azure_credentials import CredentialsName
from flows.approval import approve_deployment
from flows.clusters import connect_clusters
from flows.database import bring_up_database, verify_sql
from flows.foundation import lay_foundation
from flows.network_test import run_network_test
from flows.peering import peer_regions
from flows.region import FanOut, deploy_regions
from flows.run_page import RunPage
from flows.services import deploy_services
from roachmesh.plan import Plan, make_plan
from roachmesh.topology import DEFAULT, Topology
from tasks.deployment import Deployment
from tasks.overlap import only_run
from tasks.preflight import judge_fixed_fields, read_operators, refuse_expired
from tasks.report import show_card, show_plan
from tasks.resource_group import read_resource_group
from tasks.resume import read_results_key
from tasks.workers import prepare_workers


def count_tasks(plan: Plan) -> int:
    """Count the tasks of a run."""
    regions, nodes, clusters = len(plan.regions), len(plan.nodes), len(plan.clusters)
    movr = plan.application.kind == "movr"
    machines = sum(node.role == "vm" for node in plan.nodes)
    pooled = 3 * regions + 1 if plan.pooler != "none" else 0
    count = 17 + movr + pooled + 8 * regions + len(plan.peerings) + 10 * nodes + 2 * machines + 12 * clusters
    return count + 2 + regions + machines if clusters else count


@flow(name="deploy", flow_run_name="deploy {topology.name}", persist_result=False)
def deploy(
    topology: Topology = DEFAULT,
    credentials: CredentialsName = "default",
    continue_run: UUID | None = None,
    approval: Literal["none", "required"] = "none",
    fan_out: FanOut = "threads",
) -> None:
    """Deploy a CockroachDB cluster across regions, and prove it with SQL.

    A deployment that exists already is compared and changed only where it differs.

    Args:
        topology: The regions and what is in them; whatever is left out is derived.
        credentials: Name of the block Azure Credentials to use; see Blocks.
        continue_run: None, or the id of an unfinished run of this topology whose finished tasks are kept.
        approval: "required" shows on the run's page what would change, and waits there for an answer.
        fan_out: "threads" makes all regions in this run's process, "workers" each in a run of its own.
    """
    deployment = Deployment(key=str(flow_run.id), plan=make_plan(topology), credentials=credentials)
    refuse_expired(deployment)

    if approval == "required":
        approve_deployment(deployment)

    with RunPage(deployment.plan, count_tasks(deployment.plan)) as page, only_run(deployment, page.finish):
        if fan_out == "workers":
            prepare_workers(deployment)
        existing = read_resource_group(deployment)
        judge_fixed_fields(deployment, existing)
        deployment = deployment.operated_from(read_operators(deployment, existing))
        show_plan(deployment)

        foundation = lay_foundation(deployment)
        deployment = deployment.keeping(read_results_key(deployment, existing, continue_run))

        regions = deploy_regions(deployment, fan_out)
        peerings = peer_regions(deployment)
        machines = [machine for region in regions for machine in region.machines]
        clusters = connect_clusters(deployment, regions)

        run_network_test(deployment, machines)
        database = bring_up_database(deployment, machines)
        services = deploy_services(deployment, machines)
        verify_sql(deployment, machines)

        in_regions = [outcome for region in regions for outcome in region.outcomes]
        made = [*foundation, *in_regions, *peerings, *clusters, *database, *services]
        show_card(deployment, machines, made)
