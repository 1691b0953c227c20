"""What stands of a topology right now; it changes nothing, and is no run in Prefect."""

from datetime import UTC, datetime

from roachmesh import prices
from roachmesh.errors import RoachmeshError
from roachmesh.status import NodeStatus, Status, cost_so_far
from tasks.deployment import Deployment
from tasks.machines import Machine
from tasks.status import read_last_runs, read_live, read_nodes, read_services

FLOWS = ("deploy", "verify", "destroy")


def read_status(deployment: Deployment) -> Status:
    """Ask Azure, then all machines at once, then the database through one that works."""
    plan = deployment.plan
    found = read_nodes(deployment)
    machines = [machine for _, machine in found if machine]
    services = read_services(deployment, machines)
    working = [machine for machine in machines if services[machine.host.name] == "active"]
    live, problem = _live(deployment, working)
    nodes = [_with_answers(node, services.get(node.name, ""), live) for node, _ in found]
    return Status(
        topology=plan.topology,
        resource_group=deployment.resource_group,
        version=plan.cockroachdb.version,
        nodes=tuple(nodes),
        database_problem=problem,
        runs=tuple(read_last_runs(plan.topology, FLOWS)),
        cost=cost_so_far(plan, nodes, prices.shipped(), datetime.now(UTC)),
    )


def _live(deployment: Deployment, working: list[Machine]) -> tuple[dict[str, bool], str]:
    """Tell which nodes are live, or why nobody knows."""
    if not working:
        return {}, "CockroachDB runs on no machine that answers."
    try:
        return read_live(deployment, working[0]), ""
    except RoachmeshError as exc:
        return {}, str(exc)


def _with_answers(node: NodeStatus, service: str | RoachmeshError, live: dict[str, bool]) -> NodeStatus:
    update: dict[str, object] = {"live": live.get(node.name)}
    if isinstance(service, RoachmeshError):
        update["problem"] = service.message
    else:
        update["service"] = service
    return node.model_copy(update=update)
