"""Fields that are fixed as soon as a region's machines stand; the machines' tags keep what they said.

Azure alone can be asked before anything is changed: rules, routes and forwarding that are written for
other values cut a living cluster's pods off before the cluster itself could refuse.
"""

from collections.abc import Iterator, Mapping, Sequence

from roachmesh import names
from roachmesh.plan import Node, RegionPlan
from roachmesh.wording import dotted

Tags = Mapping[str, str]

# k3s's ranges hold for a cluster's whole life; Cilium has the id in the identity of every pod.
# Source: "k3s server", k3s documentation; "Setting up Cluster Mesh", Cilium documentation.
OF_CLUSTER = {names.TAG_PODS: "pods", names.TAG_SERVICES: "services", names.TAG_CLUSTER_ID: "cluster_id"}


def tags(region: RegionPlan, node: Node) -> dict[str, str]:
    """Say as what a machine is made; its tags are written with it, and never again."""
    if region.cluster is None:
        return {names.TAG_ROLE: node.role}
    return {
        names.TAG_ROLE: node.role,
        names.TAG_PODS: str(region.cluster.pods),
        names.TAG_SERVICES: str(region.cluster.services),
        names.TAG_CLUSTER_ID: str(region.cluster.id),
    }


def changes(regions: Sequence[RegionPlan], machines: Mapping[str, Tags]) -> list[str]:
    """Name the fields that do not say what they said when machines were made, and what to write.

    Args:
        regions: All of the plan's.
        machines: The tags of the machines that stand, by name; those without ours tell nothing.
    """
    return [
        f"{dotted(('regions', index, field))}: {sentence}"
        for index, region in enumerate(regions)
        for field, sentence in _in_region(region, machines)
    ]


def _in_region(region: RegionPlan, machines: Mapping[str, Tags]) -> Iterator[tuple[str, str]]:
    standing = [(node, machines[node.name]) for node in region.nodes if node.name in machines]
    roles = {node: found[names.TAG_ROLE] for node, found in standing if names.TAG_ROLE in found}
    node = next((node for node, role in roles.items() if role != node.role), None)
    if node and "vm" in (node.role, roles[node]):
        platform, kind = ("vm", "plain machine") if roles[node] == "vm" else ("k3s", f"k3s {roles[node]}")
        yield "platform", f"{node.name} is a {kind} and stays one; write `platform: {platform}`."
        return
    if node:
        last = max((node.number for node, role in roles.items() if role == "server"), default=1)
        servers = last | 1  # the last one may be gone, and the number is always odd
        yield "servers", f"{node.name} is a k3s {roles[node]} and stays one; write `servers: {servers}`."
    if region.cluster is None:
        return
    last = len(region.nodes)
    while names.node(region.name, last + 1) in machines:
        last += 1
    if last > len(region.nodes):
        pod = f"{names.node(region.name, last)} stands, with a pod and its data"
        yield "nodes", f"{pod}; write `nodes: {last}`."
    for tag, field in OF_CLUSTER.items():
        ours = tags(region, region.nodes[0])[tag]
        other = next((found[tag] for _, found in standing if found.get(tag, ours) != ours), None)
        if other:
            yield field, f"the cluster of {region.name} keeps {other}; write `{field}: {other}`."
