"""What stands of a topology right now: asked of Azure, of the machines, of the database and of Prefect."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from prefect.client.orchestration import get_client

from roachmesh import names, pods
from roachmesh.errors import HostUnreachable, NotDeployed, RoachmeshError
from roachmesh.plan import Node, Plan, RegionPlan
from roachmesh.render.systemd import SERVICE
from roachmesh.status import LastRun, NodeStatus, ServiceStatus
from tasks.azure_resource import read
from tasks.cockroachdb_pods import read_pods
from tasks.database import run_cockroach
from tasks.deployment import Deployment
from tasks.hosts import session
from tasks.machines import Machine, power_state, read_machine
from tasks.mesh import disconnected
from tasks.resource_group import read_resource_group
from tasks.runs import latest
from tasks.threads import ask_all

ANSWER_TIMEOUT_S = 30

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def find_deployment(plan: Plan, credentials: str) -> Deployment:
    """Describe a deployment that exists, to look at it and not to change it.

    Raises:
        NotDeployed: there is no resource group.
        NotOurs: there is one, of somebody else's.
    """
    deployment = Deployment(key="terminal", plan=plan, credentials=credentials)
    if read_resource_group.fn(deployment) is None:
        raise NotDeployed(
            f"there is no resource group {deployment.resource_group}.",
            where=plan.topology,
            advice="Deploy the topology first.",
        )
    return deployment


def read_nodes(deployment: Deployment) -> list[tuple[NodeStatus, Machine | None]]:
    """Ask Azure for every planned node's machine; None where nothing runs that could be reached."""
    return ask_all(lambda node: _read_node(deployment, node), deployment.plan.nodes)


def _read_node(deployment: Deployment, node: Node) -> tuple[NodeStatus, Machine | None]:
    status = NodeStatus(node=f"{node.region}/{node.number}", name=node.name)
    found = read(deployment, deployment.inventory.virtual_machine(deployment.plan.region_of(node), node))
    if found is None:
        return status, None
    state = power_state(found)
    created = found["properties"].get("timeCreated")  # API versions before 2021-11-01 leave it out
    made = datetime.fromisoformat(created) if created else None
    status = status.model_copy(update={"machine": state, "created": made})
    try:
        machine = read_machine(deployment, node)
    except RoachmeshError as exc:
        return status.model_copy(update={"problem": exc.message}), None
    status = status.model_copy(update={"public_address": machine.host.address})
    return status, machine if state == "running" else None


def read_services(
    deployment: Deployment, machines: Sequence[Machine]
) -> dict[str, ServiceStatus | RoachmeshError]:
    """Ask what becomes of CockroachDB on each node, by the node's name, or why nobody knows.

    Plain machines are asked themselves, k3s regions with a machine that runs by their Kubernetes API,
    which also knows of machines that do not.
    """

    def ask(place: Machine | RegionPlan) -> dict[str, ServiceStatus]:
        if isinstance(place, RegionPlan):
            return _pods(deployment, place)
        return {place.host.name: _service(deployment, place)}

    plain = [machine for machine in machines if machine.node.role == "vm"]
    places: list[Machine | RegionPlan] = [*plain, *_running_clusters(deployment, machines)]
    found: dict[str, ServiceStatus | RoachmeshError] = {}
    for place, answer in _ask_all(ask, places):
        if isinstance(answer, RoachmeshError):
            nodes = place.nodes if isinstance(place, RegionPlan) else (place.node,)
            found |= {node.name: answer for node in nodes}
        else:
            found |= answer
    return found


def read_mesh(deployment: Deployment, machines: Sequence[Machine]) -> dict[str, str]:
    """Ask each k3s region with a machine that runs what keeps it from the others, by its name."""
    if len(deployment.plan.clusters) == 1:
        return {}
    answers = _ask_all(
        lambda region: "; ".join(disconnected(deployment, region)), _running_clusters(deployment, machines)
    )
    return {region.name: str(answer) for region, answer in answers}


def _running_clusters(deployment: Deployment, machines: Sequence[Machine]) -> list[RegionPlan]:
    running = {machine.node.region for machine in machines}
    return [region for region in deployment.plan.clusters if region.name in running]


def _service(deployment: Deployment, machine: Machine) -> ServiceStatus:
    command = ["systemctl", "show", "--property=ActiveState", "--value", SERVICE]
    said = session(deployment, machine.host).run(command, timeout_s=ANSWER_TIMEOUT_S).strip()
    return ServiceStatus(said=said, works=said == "active", host=str(machine.node.address))


def _pods(deployment: Deployment, region: RegionPlan) -> dict[str, ServiceStatus]:
    on_nodes, nowhere = read_pods(deployment, region)
    waiting = "; ".join(f"{pods.name(pod)}: {pods.hindrance(pod)}" for pod in nowhere)
    none = ServiceStatus(said="no pod", works=False, host="", problem=waiting)
    return {node.name: none for node in region.nodes} | {
        node: ServiceStatus(
            said=f"{pods.name(pod)} {pods.state(pod)}",
            works=pods.is_ready(pod),
            host=names.pod_host(region.name, pods.name(pod)),
            problem="" if pods.is_running(pod) else f"{pods.name(pod)}: {pods.hindrance(pod)}",
        )
        for node, pod in on_nodes.items()
    }


def read_live(deployment: Deployment, machine: Machine) -> dict[str, bool]:
    """Ask the database, through one machine's node, which nodes are live, by what they advertise.

    Raises:
        RoachmeshError: there is no answer, and why.
    """

    def ask(machine: Machine) -> str:
        return run_cockroach(
            deployment, machine, "node", "status", "--format=json", timeout_s=ANSWER_TIMEOUT_S
        )

    [(_, answer)] = _ask_all(ask, [machine])
    if isinstance(answer, RoachmeshError):
        raise answer
    return {row["address"]: row["is_live"] == "true" for row in json.loads(answer)}


def read_last_runs(topology: str, flows: Sequence[str]) -> list[LastRun]:
    """Ask Prefect for the latest run of each flow for a topology; a flow that never ran is left out."""
    with get_client(sync_client=True) as client:
        found = [(flow, run) for flow in flows for run in latest(client, topology, [flow], limit=1)]
    return [
        LastRun(flow=flow, name=run.name, state=run.state_name or "unknown", started=run.start_time)
        for flow, run in found
    ]


def _ask_all(
    ask: Callable[[Item], Answer], items: Sequence[Item]
) -> list[tuple[Item, Answer | RoachmeshError]]:
    """Ask all at once, and wait for none of them longer than half a minute.

    A thread that hangs in SSH cannot be ended: it is left behind, and goes with the process.
    """
    answers: dict[int, Answer | RoachmeshError] = {}

    def keep(index: int) -> None:
        try:
            answers[index] = ask(items[index])
        except RoachmeshError as exc:
            answers[index] = exc

    threads = [threading.Thread(target=keep, args=(index,), daemon=True) for index in range(len(items))]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    silence = HostUnreachable(f"no answer within {ANSWER_TIMEOUT_S} s.")
    return [(item, answers.get(index, silence)) for index, item in enumerate(items)]
