"""Who may reach what: the inbound rules of a region's network security group, by priority.

The last one denies the rest, for Azure's own rule 65000 admits whatever is tagged VirtualNetwork.
"""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from roachmesh.topology import Model

SQL_PORT = 26257
CONSOLE_PORT = 8080
DATABASE_PORTS = (SQL_PORT, CONSOLE_PORT)
SSH_PORT = 22
KUBERNETES_PORT = 6443
MESH_PORT = 32379  # the NodePort of Cilium's ClusterMesh
HEALTH_PORT = 4240  # where Cilium's agents look for each other
DNS_PORT = 30053  # the NodePort of a cluster's DNS, for other regions
POOLER_PORT = 6432
POOLER_NODE_PORT = 30432
APPLICATION_NODE_PORT = 30080


ANY = ("*",)
Protocol = Literal["Tcp", "Icmp", "*"]
OneOrMore = Annotated[tuple[str, ...], Field(min_length=1)]


class Rule(Model):
    """One inbound rule; "any" is said aloud, an empty list would be a mistake."""

    name: str
    priority: int
    access: Literal["Allow", "Deny"]
    protocol: Protocol
    sources: OneOrMore
    destinations: OneOrMore
    ports: OneOrMore


class Services(NamedTuple):
    """What clients may use on machines of a region: poolers, the application.

    Attributes:
        ports: Where they listen; none for none.
        clients: Who may use them beside the regions' own nodes and pods.
    """

    ports: tuple[int, ...]
    clients: tuple[IPv4Network, ...]


def vm_region(
    subnet: IPv4Network,
    mesh: Sequence[IPv4Network],
    operators: Sequence[IPv4Network],
    services: Services,
) -> tuple[Rule, ...]:
    """Give the rules of a region of plain machines.

    Args:
        subnet: The region's nodes.
        mesh: The nodes and pods of all regions, this one's among them.
        operators: Where SSH may come from.
        services: What clients may use.
    """
    here, everywhere = _texts(subnet), _texts(*mesh)
    return (
        _rule("ssh-from-operator", 100, "Allow", "Tcp", _texts(*operators), here, (SSH_PORT,)),
        _rule("own-subnet", 200, "Allow", "*", here, here),
        _rule("database-from-mesh", 210, "Allow", "Tcp", everywhere, here, DATABASE_PORTS),
        _rule("icmp-from-mesh", 235, "Allow", "Icmp", everywhere, here),
        *_services(services, everywhere, here),
        _rule("deny-all-inbound", 4096, "Deny", "*", ANY, ANY),
    )


def k3s_region(
    subnet: IPv4Network,
    pods: IPv4Network,
    mesh: Sequence[IPv4Network],
    clusters: Sequence[IPv4Network],
    operators: Sequence[IPv4Network],
    services: Services,
) -> tuple[Rule, ...]:
    """Give the rules of a region on k3s; a packet to a pod has the pod's address, not its node's.

    Args:
        subnet: The region's nodes.
        pods: The region's pods.
        mesh: The nodes and pods of all regions, this one's among them.
        clusters: Those of the regions on k3s.
        operators: Where SSH and the Kubernetes API may be used from.
        services: What clients may use.
    """
    nodes, own = _texts(subnet), _texts(subnet, pods)
    everywhere, others = _texts(*mesh), _texts(*clusters)
    return (
        _rule("ssh-from-operator", 100, "Allow", "Tcp", _texts(*operators), nodes, (SSH_PORT,)),
        _rule("kubernetes-from-operator", 110, "Allow", "Tcp", _texts(*operators), nodes, (KUBERNETES_PORT,)),
        _rule("own-region", 200, "Allow", "*", own, own),
        _rule("database-from-mesh", 210, "Allow", "Tcp", everywhere, _texts(pods), DATABASE_PORTS),
        _rule("mesh-from-clusters", 220, "Allow", "Tcp", others, nodes, (MESH_PORT,)),
        _rule("health-from-clusters", 230, "Allow", "Tcp", others, own, (HEALTH_PORT,)),
        _rule("icmp-from-mesh", 235, "Allow", "Icmp", everywhere, own),
        _rule("names-from-mesh", 240, "Allow", "*", everywhere, nodes, (DNS_PORT,)),
        *_services(services, everywhere, nodes),
        _rule("deny-all-inbound", 4096, "Deny", "*", ANY, ANY),
    )


def _services(services: Services, everywhere: tuple[str, ...], here: tuple[str, ...]) -> Iterator[Rule]:
    if services.ports:
        yield _rule("services-from-mesh", 250, "Allow", "Tcp", everywhere, here, services.ports)
        if services.clients:
            clients = _texts(*services.clients)
            yield _rule("services-from-clients", 310, "Allow", "Tcp", clients, here, services.ports)


def _texts(*ranges: IPv4Network) -> tuple[str, ...]:
    return tuple(map(str, ranges))


def _rule(
    name: str,
    priority: int,
    access: Literal["Allow", "Deny"],
    protocol: Protocol,
    sources: tuple[str, ...],
    destinations: tuple[str, ...],
    ports: tuple[int, ...] = (),
) -> Rule:
    return Rule(
        name=name,
        priority=priority,
        access=access,
        protocol=protocol,
        sources=sources,
        destinations=destinations,
        ports=tuple(map(str, ports)) or ANY,
    )


def as_azure(rule: Rule) -> dict[str, Any]:
    """Write a rule as Azure's API does, where one prefix and several are two different fields."""
    return {
        "name": rule.name,
        "properties": {
            "priority": rule.priority,
            "direction": "Inbound",
            "access": rule.access,
            "protocol": rule.protocol,
            "sourcePortRange": "*",
            **_one_or_many("sourceAddressPrefix", "sourceAddressPrefixes", rule.sources),
            **_one_or_many("destinationAddressPrefix", "destinationAddressPrefixes", rule.destinations),
            **_one_or_many("destinationPortRange", "destinationPortRanges", rule.ports),
        },
    }


def _one_or_many(one: str, many: str, values: tuple[str, ...]) -> dict[str, Any]:
    return {many: list(values)} if len(values) > 1 else {one: values[0]}
