"""What a run page shows, as Markdown."""

from collections.abc import Mapping
from ipaddress import IPv4Address

from roachmesh.plan import Plan


def plan(plan: Plan) -> str:
    """List everything that will exist, region by region."""
    lines = [
        f"# {plan.topology}",
        "",
        f"CockroachDB {plan.cockroachdb.version} on {len(plan.nodes)} nodes in {len(plan.regions)} regions, "
        f"{len(plan.peerings)} peerings, resource group `{plan.resource_group}`.",
        "",
        "| region | location | VNet | nodes | machine | address | zone |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {region.name} | {region.location} | {region.vnet} | {node.name} | {region.size} "
        f"| {node.address} | {node.zone or 'none'} |"
        for region in plan.regions
        for node in region.nodes
    ]
    return "\n".join(lines)


def card(plan: Plan, addresses: Mapping[str, IPv4Address]) -> str:
    """Say how to reach a deployment; `addresses` are the public ones by node name."""
    lines = [
        f"# {plan.topology} is up",
        "",
        "SQL shell: `roachmesh sql TOPOLOGY.yaml`; a machine: `roachmesh ssh TOPOLOGY.yaml REGION/NUMBER`.",
        "",
        "| node | private address | public address (SSH) | locality |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {node.name} | {node.address} | {addresses[node.name]} | {node.locality} |" for node in plan.nodes
    ]
    return "\n".join(lines)
