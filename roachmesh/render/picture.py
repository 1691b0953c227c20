"""A topology as a Mermaid diagram: what Prefect's UI and code hosts draw from text."""

from roachmesh.plan import Plan, RegionPlan
from roachmesh.security_rules import CONSOLE_PORT, SQL_PORT

MANY_REGIONS = 6  # more peerings than that many regions have are lines that nobody can follow


def mermaid(plan: Plan) -> str:
    """Draw regions with their networks and nodes, and the peerings between them."""
    lines = ["flowchart LR", '  operator(["operator"])']
    for i, region in enumerate(plan.regions):
        first, last = region.nodes[0], region.nodes[-1]
        nodes = first.name if first == last else f"{first.name} … {last.number}"
        lines += [
            f'  subgraph r{i}["{region.name} · {region.vnet}"]',
            f'    n{i}["{nodes}<br/>{len(region.nodes)} x {region.size}<br/>'
            f'from {first.address}{_pods(region)}{_services(plan, region)}"]',
            "  end",
        ]
    lines += [f"  operator -- SSH --> r{i}" for i in range(len(plan.regions))]
    if len(plan.regions) > MANY_REGIONS:
        lines.append(f'  mesh{{{{"{len(plan.peerings)} peerings<br/>every region with every other"}}}}')
        lines += [f"  r{i} <--> mesh" for i in range(len(plan.regions))]
    else:
        number = {region.name: i for i, region in enumerate(plan.regions)}
        lines += [
            f'  r{number[left.name]} <-- "peering<br/>{SQL_PORT}, {CONSOLE_PORT}" --> r{number[right.name]}'
            for left, right in plan.peerings
        ]
    return "\n".join(lines)


def _pods(region: RegionPlan) -> str:
    return f"<br/>k3s, pods {region.cluster.pods}" if region.cluster else ""


def _services(plan: Plan, region: RegionPlan) -> str:
    pooler = {"pgbouncer": ["PgBouncer"], "none": []}[plan.pooler]
    application = {"none": [], "movr": ["MovR"], "image": ["application"] if region.cluster else []}
    said = ", ".join(pooler + application[plan.application.kind])
    return f"<br/>{said}" if said else ""
