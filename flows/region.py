"""One region: its network, its machines, and what runs on them; in this process, or on a worker."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.transactions import CommitMode, transaction

from blocks.logger import named
from flows.parallel import Parallel, for_each
from roachmesh.inventory import PodRoute
from roachmesh.outcome import Outcome
from roachmesh.plan import Node, RegionPlan
from roachmesh.topology import Model
from tasks.cilium import ensure_cilium, wait_for_cilium
from tasks.clock import ensure_time_synchronised
from tasks.cockroachdb import ensure_cockroachdb_installed
from tasks.deployment import Deployment
from tasks.dns import ensure_cluster_dns, ensure_names_of_pods, wait_for_cluster_dns
from tasks.engine import RETRY_DELAYS_S
from tasks.k3s import (
    ensure_agent,
    ensure_k3s_installed,
    ensure_server,
    read_pod_routes,
    wait_for_nodes,
)
from tasks.machines import (
    Machine,
    ensure_availability_set,
    ensure_data_disk,
    ensure_interface,
    ensure_public_address,
    ensure_virtual_machine,
    wait_until_reachable,
)
from tasks.network import ensure_own_routes, ensure_route_table, ensure_security_group, ensure_virtual_network
from tasks.results import EncryptedSerializer
from tasks.store import ensure_store_mounted
from tasks.workers import RegionLifeline, is_lost, require_shared_results, run_on_worker

FanOut = Literal["threads", "workers"]


class DeployedRegion(Model):
    """A region that stands: its machines in the plan's order, where its pods are, and what it took."""

    machines: tuple[Machine, ...]
    pod_routes: tuple[PodRoute, ...]
    outcomes: tuple[Outcome, ...]


def deploy_regions(deployment: Deployment, fan_out: FanOut) -> list[DeployedRegion]:
    """Deploy all regions at once, in threads of this process or each on a worker."""
    start = start_region if fan_out == "threads" else start_region_on_worker
    return for_each(deployment.plan.regions, start, deployment)


@task(task_run_name=named("region {region.name}"), cache_policy=NO_CACHE, persist_result=False)
def start_region(deployment: Deployment, region: RegionPlan) -> DeployedRegion:
    """Run a region's subflow, so that its finished tasks are remembered although the region fails.

    A task's transaction is lazy: without an eager one inside, nothing would be written unless the
    whole region succeeds. Results of subflows themselves are never kept, since Prefect would match
    them by the order of calls. Source: measured, see docs/decisions.

    It sends no heartbeats: the run's own are enough, and Prefect would wait up to a second for their thread
    before it lets a region end.
    """
    with (
        transaction(commit_mode=CommitMode.EAGER),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        return deploy_region(deployment, region)


@task(
    task_run_name=named("region {region.name}"),
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=len(RETRY_DELAYS_S),
    retry_delay_seconds=RETRY_DELAYS_S,
    retry_condition_fn=is_lost,
)
def start_region_on_worker(deployment: Deployment, region: RegionPlan) -> DeployedRegion:
    """Have a worker run a region; if that dies, another one, which finds what was finished."""
    result: DeployedRegion = run_on_worker(deployment, region)
    return result


@flow(
    name="region",
    flow_run_name="region {region.name}",
    persist_result=True,
    result_serializer=EncryptedSerializer(),
)
def deploy_region_on_worker(deployment: Deployment, region: RegionPlan) -> DeployedRegion:
    """Deploy a region as a run of its own, which a run of `deploy` started and waits for."""
    with RegionLifeline(deployment, last_words=lambda: None):
        require_shared_results(f"region {region.name}")
        return deploy_region.fn(deployment, region)


@flow(name="region", flow_run_name="region {region.name}")
def deploy_region(deployment: Deployment, region: RegionPlan) -> DeployedRegion:
    """Deploy a region's network, its machines in parallel, then k3s on them, or CockroachDB as a service.

    No node of the database is started.
    """
    work = Parallel()
    hosts = _start_machines(work, deployment, region)
    routes = _start_cluster(work, deployment, region, hosts) if region.cluster else None
    if routes is None:
        _start_service(work, deployment, hosts)

    results = work.join()
    return DeployedRegion(
        machines=tuple(result for result in results if isinstance(result, Machine)),
        pod_routes=routes.result() if routes else (),
        outcomes=tuple(result for result in results if isinstance(result, Outcome)),
    )


@dataclass(frozen=True)
class _Host:
    """A machine in the making, and what must be done before anything is installed or started on it."""

    node: Node
    machine: PrefectFuture[Machine]
    reachable: PrefectFuture[None]
    prepared: list[PrefectFuture[Any]]


def _start_machines(work: Parallel, deployment: Deployment, region: RegionPlan) -> list[_Host]:
    """Make a region's network and its machines, with the right time and a place for the store."""
    security_group = work.start(ensure_security_group, deployment, region)
    route_table = work.start(ensure_route_table, deployment, region)
    network = work.start(ensure_virtual_network, deployment, region, after=[security_group, route_table])
    availability_set = work.start(ensure_availability_set, deployment, region)

    hosts = []
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
        time = work.start(ensure_time_synchronised, deployment, machine, after=[reachable])
        store = work.start(ensure_store_mounted, deployment, machine, after=[reachable])
        hosts.append(_Host(node, machine, reachable, [time, store]))
    return hosts


def _start_service(work: Parallel, deployment: Deployment, hosts: Sequence[_Host]) -> None:
    """Install CockroachDB as a service, and where there are clusters, let machines find their pods."""
    for host in hosts:
        work.start(ensure_cockroachdb_installed, deployment, host.machine, after=host.prepared)
        if deployment.plan.clusters:
            work.start(ensure_names_of_pods, deployment, host.machine, after=[host.reachable])


def _start_cluster(
    work: Parallel, deployment: Deployment, region: RegionPlan, hosts: Sequence[_Host]
) -> PrefectFuture[tuple[PodRoute, ...]]:
    """Join machines to a cluster whose pods have a network; gives where the pods are.

    Servers join one after the other, and none before all are reached: who is not heard could be a member.
    """
    installed = [
        work.start(ensure_k3s_installed, deployment, host.machine, after=[host.reachable]) for host in hosts
    ]
    servers = [host.machine for host in hosts if host.node.role == "server"]
    joined: list[PrefectFuture[Any]] = [host.reachable for host in hosts if host.node.role == "server"]
    nodes: list[PrefectFuture[Any]] = []
    for host, ready in zip(hosts, installed, strict=True):
        if host.node.role == "server":
            after = [*host.prepared, ready, *joined]
            server = work.start(ensure_server, deployment, region, host.machine, servers, after=after)
            joined = [server]
            nodes.append(server)
    first = nodes[0]
    for host, ready in zip(hosts, installed, strict=True):
        if host.node.role == "agent":
            after = [*host.prepared, ready, first]
            nodes.append(work.start(ensure_agent, deployment, region, host.machine, after=after))

    cilium = work.start(ensure_cilium, deployment, region, after=[first])
    dns = work.start(ensure_cluster_dns, deployment, region, after=[first])
    routes = work.start(read_pod_routes, deployment, region, after=nodes)
    own_routes = work.start(ensure_own_routes, deployment, region, routes)
    for wait in (wait_for_cilium, wait_for_nodes, wait_for_cluster_dns):
        work.start(wait, deployment, region, after=[cilium, dns, own_routes])
    return routes
