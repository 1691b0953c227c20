"""What stands of a topology right now, as `roachmesh status` tells it."""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from ipaddress import IPv4Address

from roachmesh.cost import estimate
from roachmesh.plan import Plan
from roachmesh.prices import Snapshot
from roachmesh.topology import Model


class ServiceStatus(Model):
    """CockroachDB on a node.

    Attributes:
        said: systemd's word for its unit, or the pod and its state.
        works: Whether that is good.
        host: What the node advertises to the others; empty where there is none.
        problem: Why it does not work, if that is known.
    """

    said: str
    works: bool
    host: str
    problem: str = ""


class NodeStatus(Model):
    """A planned node.

    Attributes:
        machine: Azure's power state, or `absent`.
        service: What is said of CockroachDB there; empty when nobody could be asked.
        live: Whether the database counts it among its live nodes; None when nobody could be asked.
        problem: Why something could not be asked.
    """

    node: str
    name: str
    machine: str = "absent"
    created: datetime | None = None
    public_address: IPv4Address | None = None
    service: str = ""
    live: bool | None = None
    problem: str = ""


class LastRun(Model):
    """The latest run of a flow."""

    flow: str
    name: str
    state: str
    started: datetime | None


class CostSoFar(Model):
    """What the machines that stand have cost since they were made, by list prices and without traffic."""

    usd: Decimal
    usd_per_hour: Decimal
    prices_of: date
    unknown: tuple[str, ...]


class Status(Model):
    """All of it.

    Attributes:
        mesh: What keeps each k3s region from the others, by its name; empty texts where nothing does, and
            no regions where there are no two.
        database_problem: Why the database could not be asked.
    """

    topology: str
    resource_group: str
    version: str
    nodes: tuple[NodeStatus, ...]
    mesh: dict[str, str]
    database_problem: str
    runs: tuple[LastRun, ...]
    cost: CostSoFar

    @property
    def live(self) -> int:
        """How many nodes the database counts as live."""
        return sum(node.live is True for node in self.nodes)


def cost_so_far(plan: Plan, nodes: Iterable[NodeStatus], snapshot: Snapshot, now: datetime) -> CostSoFar:
    """Add up what each machine that stands, its disks and its address cost since it was made."""
    cost = estimate(plan, snapshot)
    per_node = {
        node.name: priced.usd_per_hour / len(region.nodes)
        for region, priced in zip(plan.regions, cost.regions, strict=True)
        for node in region.nodes
    }
    standing = [(node.name, node.created) for node in nodes if node.created]
    hours = {name: Decimal((now - created).total_seconds()) / 3600 for name, created in standing}
    return CostSoFar(
        usd=sum((per_node[name] * hours[name] for name in hours), Decimal(0)),
        usd_per_hour=sum((per_node[name] for name in hours), Decimal(0)),
        prices_of=cost.date,
        unknown=tuple(dict.fromkeys(sentence for region in cost.regions for sentence in region.unknown)),
    )
