"""What stands of a topology right now; it changes nothing, and is no run in Prefect."""

from datetime import UTC, datetime

from roachmesh import prices
from roachmesh.errors import RoachmeshError
from roachmesh.security_rules import SQL_PORT
from roachmesh.status import NodeStatus, ServiceStatus, Status, cost_so_far
from tasks.deployment import Deployment
from tasks.machines import Machine
from tasks.status import read_last_runs, read_live, read_mesh, read_nodes, read_services

FLOWS = ("deploy", "verify", "destroy")


def read_status(deployment: Deployment) -> Status:
    """Ask Azure, then all machines at once, then the database through one that works."""
    plan = deployment.plan
    found = read_nodes(deployment)
    machines = [machine for _, machine in found if machine]
    services = read_services(deployment, machines)
    working = [machine for machine in machines if _works(services.get(machine.host.name))]
    live, problem = _live(deployment, working)
    addresses = {node.name: str(node.address) for node in plan.nodes if node.role == "vm"}
    nodes = [
        _with_answers(node, services.get(node.name), live, addresses.get(node.name)) for node, _ in found
    ]
    return Status(
        topology=plan.topology,
        resource_group=deployment.resource_group,
        version=plan.cockroachdb.version,
        nodes=tuple(nodes),
        mesh=read_mesh(deployment, machines),
        database_problem=problem,
        runs=tuple(read_last_runs(plan.topology, FLOWS)),
        cost=cost_so_far(plan, nodes, prices.shipped(), datetime.now(UTC)),
    )


def _works(service: ServiceStatus | RoachmeshError | None) -> bool:
    return isinstance(service, ServiceStatus) and service.works


def _live(deployment: Deployment, working: list[Machine]) -> tuple[dict[str, bool], str]:
    """Tell which nodes are live, by what they advertise, or why nobody knows."""
    if not working:
        return {}, "CockroachDB works on no machine that answers."
    try:
        return read_live(deployment, working[0]), ""
    except RoachmeshError as exc:
        return {}, str(exc)


def _with_answers(
    node: NodeStatus, service: ServiceStatus | RoachmeshError | None, live: dict[str, bool], host: str | None
) -> NodeStatus:
    """Add what was said; `host` is what the node advertises as far as the plan knows it."""
    update: dict[str, object] = {}
    if isinstance(service, RoachmeshError):
        update["problem"] = service.message
    elif service:
        update["service"] = service.said
        update["problem"] = service.problem or node.problem
        host = service.host
    if live and host is not None:
        update["live"] = live.get(f"{host}:{SQL_PORT}", False)
    return node.model_copy(update=update)
