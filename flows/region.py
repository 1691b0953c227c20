"""One region: its network, its machines, and what runs on them."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.transactions import CommitMode, transaction

from flows.parallel import Parallel, for_each
from roachmesh.outcome import Outcome
from roachmesh.plan import RegionPlan
from roachmesh.topology import Model
from tasks.clock import ensure_time_synchronised
from tasks.cockroachdb import ensure_cockroachdb_installed
from tasks.deployment import Deployment
from tasks.machines import (
    Machine,
    ensure_availability_set,
    ensure_data_disk,
    ensure_interface,
    ensure_public_address,
    ensure_virtual_machine,
    wait_until_reachable,
)
from tasks.network import ensure_route_table, ensure_security_group, ensure_virtual_network
from tasks.store import ensure_store_mounted


class DeployedRegion(Model):
    """A region that stands: its machines in the plan's order, and what it took."""

    machines: tuple[Machine, ...]
    outcomes: tuple[Outcome, ...]


def deploy_regions(deployment: Deployment) -> list[DeployedRegion]:
    """Deploy all regions at once."""
    return for_each(deployment.plan.regions, start_region, deployment)


@task(task_run_name="region {region.name}", cache_policy=NO_CACHE, persist_result=False)
def start_region(deployment: Deployment, region: RegionPlan) -> DeployedRegion:
    """Run a region's subflow, so that its finished tasks are remembered although the region fails.

    A task's transaction is lazy: without an eager one inside, nothing would be written unless the
    whole region succeeds. Results of subflows themselves are never kept, since Prefect would match
    them by the order of calls. Source: measured, see docs/decisions.
    """
    with transaction(commit_mode=CommitMode.EAGER):
        return deploy_region(deployment, region)


@flow(name="region", flow_run_name="region {region.name}")
def deploy_region(deployment: Deployment, region: RegionPlan) -> DeployedRegion:
    """Deploy a region's network, then its machines in parallel, then CockroachDB on each, not yet started."""
    work = Parallel()
    security_group = work.start(ensure_security_group, deployment, region)
    route_table = work.start(ensure_route_table, deployment, region)
    network = work.start(ensure_virtual_network, deployment, region, after=[security_group, route_table])
    availability_set = work.start(ensure_availability_set, deployment, region)

    for node in region.nodes:
        public_address = work.start(ensure_public_address, deployment, region, node)
        interface = work.start(ensure_interface, deployment, region, node, after=[network, public_address])
        data_disk = work.start(ensure_data_disk, deployment, region, node)
        machine = work.start(
            ensure_virtual_machine,
            deployment,
            region,
            node,
            after=[interface, data_disk, availability_set],
        )

        reachable = work.start(wait_until_reachable, deployment, machine)
        work.start(ensure_time_synchronised, deployment, machine, after=[reachable])
        store = work.start(ensure_store_mounted, deployment, machine, after=[reachable])
        work.start(ensure_cockroachdb_installed, deployment, machine, after=[store])

    outcomes = tuple(result for result in work.join() if result)
    machines = tuple(outcome for outcome in outcomes if isinstance(outcome, Machine))
    return DeployedRegion(machines=machines, outcomes=outcomes)
