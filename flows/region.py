"""One region: its network, its machines, and what runs on them."""

from collections.abc import Sequence
from ipaddress import IPv4Network

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.transactions import CommitMode, transaction

from flows.parallel import Parallel, for_each
from roachmesh.plan import RegionPlan
from roachmesh.topology import Model
from tasks.azure_resource import Ensured
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
    """A region that stands: its plan, its network, its machines in the plan's order."""

    plan: RegionPlan
    network: Ensured
    machines: tuple[Machine, ...]


def deploy_regions(deployment: Deployment, operators: Sequence[IPv4Network]) -> list[DeployedRegion]:
    """Deploy all regions at once."""
    return for_each(deployment.plan.regions, start_region, deployment, operators)


@task(task_run_name="region {region.name}", cache_policy=NO_CACHE, persist_result=False)
def start_region(
    deployment: Deployment, region: RegionPlan, operators: Sequence[IPv4Network]
) -> DeployedRegion:
    """Run a region's subflow, so that its finished tasks are remembered although the region fails.

    A task's transaction is lazy: without an eager one inside, nothing would be written unless the
    whole region succeeds. Results of subflows themselves are never kept, since Prefect would match
    them by the order of calls. Source: measured, see docs/decisions.
    """
    with transaction(commit_mode=CommitMode.EAGER):
        return deploy_region(deployment, region, operators)


@flow(name="region", flow_run_name="region {region.name}")
def deploy_region(
    deployment: Deployment, region: RegionPlan, operators: Sequence[IPv4Network]
) -> DeployedRegion:
    """Deploy a region's network, then its machines in parallel, then CockroachDB on each, not yet started."""
    work = Parallel()
    security_group = work.start(ensure_security_group, deployment, region, operators)
    route_table = work.start(ensure_route_table, deployment, region)
    network = work.start(ensure_virtual_network, deployment, region, security_group, route_table)
    availability_set = work.start(ensure_availability_set, deployment, region)

    machines = []
    for node in region.nodes:
        public_address = work.start(ensure_public_address, deployment, region, node)
        interface = work.start(ensure_interface, deployment, region, node, network, public_address)
        data_disk = work.start(ensure_data_disk, deployment, region, node)
        machine = work.start(
            ensure_virtual_machine,
            deployment,
            region,
            node,
            interface=interface,
            data_disk=data_disk,
            availability_set=availability_set,
        )
        reachable = work.start(wait_until_reachable, deployment, machine)
        work.start(ensure_time_synchronised, deployment, machine, after=[reachable])
        store = work.start(ensure_store_mounted, deployment, machine, after=[reachable])
        work.start(ensure_cockroachdb_installed, deployment, machine, after=[store])
        machines.append(machine)

    work.join()
    return DeployedRegion(
        plan=region, network=network.result(), machines=tuple(machine.result() for machine in machines)
    )
