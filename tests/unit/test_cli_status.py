"""What `roachmesh status` tells, and what it costs so far."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address

from roachmesh import prices, topology
from roachmesh.cost import estimate
from roachmesh.plan import make_plan
from roachmesh.render.status import text
from roachmesh.status import CostSoFar, LastRun, NodeStatus, Status, cost_so_far

PLAN = make_plan(topology.DEFAULT)
NOW = datetime(2026, 1, 2, tzinfo=UTC)
DAY_AGO = NOW - timedelta(days=1)
COST = CostSoFar(
    usd=Decimal("52.319"), usd_per_hour=Decimal("2.18"), prices_of=prices.shipped().date, unknown=()
)


def nodes(**created: datetime) -> list[NodeStatus]:
    return [
        NodeStatus(node=f"{node.region}/{node.number}", name=node.name, created=created.get(node.region))
        for node in PLAN.nodes
    ]


def status(
    *found: NodeStatus,
    problem: str = "",
    runs: tuple[LastRun, ...] = (),
    mesh: dict[str, str] | None = None,
) -> str:
    one = Status(
        topology="mine",
        resource_group="roachmesh-mine",
        version="v26.2.2",
        nodes=found,
        mesh=mesh or {},
        database_problem=problem,
        runs=runs,
        cost=COST,
    )
    return text(one, NOW)


def test_a_day_of_everything_costs_24_hours_of_the_estimate() -> None:
    found = nodes(eastus=DAY_AGO, westus=DAY_AGO, northeurope=DAY_AGO)
    cost = cost_so_far(PLAN, found, prices.shipped(), NOW)

    whole = estimate(PLAN, prices.shipped())
    assert round(cost.usd, 9) == round(whole.usd_per_hour * 24, 9)
    assert round(cost.usd_per_hour, 9) == round(whole.usd_per_hour, 9)


def test_only_the_machines_that_stand_cost_and_each_since_it_was_made() -> None:
    cost = cost_so_far(PLAN, nodes(westus=NOW - timedelta(hours=2)), prices.shipped(), NOW)

    westus = estimate(PLAN, prices.shipped()).regions[1]
    assert round(cost.usd, 9) == round(westus.usd_per_hour * 2, 9)


def test_every_node_is_a_row_with_what_is_known_of_it() -> None:
    said = status(
        NodeStatus(
            node="eastus/1",
            name="crdb-eastus-1",
            machine="running",
            created=DAY_AGO,
            public_address=IPv4Address("203.0.113.9"),
            service="active",
            live=True,
        ),
        NodeStatus(node="eastus/2", name="crdb-eastus-2", machine="deallocated", created=DAY_AGO, live=False),
        NodeStatus(
            node="eastus/3", name="crdb-eastus-3", machine="running", created=DAY_AGO, problem="no SSH"
        ),
        NodeStatus(node="eastus/4", name="crdb-eastus-4"),
    )

    rows = [line.split() for line in said.splitlines()]
    assert ["eastus/1", "running", "active", "live", "203.0.113.9"] in rows
    assert ["eastus/2", "deallocated", "-", "not", "live", "-"] in rows
    assert ["eastus/3", "running", "-", "unknown", "-"] in rows
    assert ["eastus/4", "absent", "-", "-", "-"] in rows
    assert "eastus/3: no SSH" in said
    assert "CockroachDB v26.2.2, 1 of 4 nodes live" in said
    assert max(map(len, said.splitlines())) <= 80


def test_of_a_pod_its_name_and_state_are_said_and_why_it_does_not_run() -> None:
    said = status(
        NodeStatus(
            node="northeurope/1",
            name="crdb-northeurope-1",
            machine="running",
            created=DAY_AGO,
            public_address=IPv4Address("203.0.113.9"),
            service="cockroachdb-2 not ready",
            live=False,
        ),
        NodeStatus(
            node="northeurope/2",
            name="crdb-northeurope-2",
            machine="running",
            created=DAY_AGO,
            service="no pod",
            live=False,
            problem="cockroachdb-1: Pending: 0/2 nodes are available: 1 Insufficient cpu.",
        ),
    )

    assert "northeurope/1  running  cockroachdb-2 not ready  not live" in said
    assert "northeurope/2  running  no pod                   not live" in said
    assert "northeurope/2: cockroachdb-1: Pending: 0/2 nodes are available: 1 Insufficient cpu." in said


def test_the_mesh_is_told_of_where_there_are_two_clusters() -> None:
    assert "\nmesh " not in status()
    assert "mesh          all 2 clusters are connected" in status(mesh={"eastus": "", "westus": ""})
    apart = status(mesh={"eastus": "", "westus": "knows nobody", "r": "knows westus alone"})
    assert "mesh          westus: knows nobody\n              r: knows westus alone\n" in apart


def test_a_database_that_could_not_be_asked_says_why() -> None:
    assert "database      no certificates" in status(problem="no certificates")


def test_the_last_runs_and_the_cost_stand_below() -> None:
    runs = (
        LastRun(flow="deploy", name="deploy mine", state="Completed", started=NOW - timedelta(minutes=5)),
        LastRun(flow="verify", name="verify mine", state="Failed", started=NOW - timedelta(hours=3)),
    )
    said = status(runs=runs)

    assert "last deploy   completed, 2026-01-01 23:55 UTC, 5 min ago (deploy mine)" in said
    assert "last verify   failed, 2026-01-01 21:00 UTC, 3 h ago (verify mine)" in said
    assert "cost so far   52.32 USD, now 2.18 USD an hour" in said
    assert f"(list prices of {prices.shipped().date}, without traffic)" in said
