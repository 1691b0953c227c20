"""Who may reach what: the inbound rules of a region's network security group, by priority.

The last one denies the rest, for Azure's own rule 65000 admits whatever is tagged VirtualNetwork.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Any, Literal

from roachmesh.topology import Model

SQL_PORT = 26257
CONSOLE_PORT = 8080
SSH_PORT = 22


class Rule(Model):
    """One inbound rule; an empty `sources` or `ports` means any."""

    name: str
    priority: int
    access: Literal["Allow", "Deny"]
    protocol: Literal["Tcp", "Icmp", "*"]
    sources: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()


def vm_region(
    subnet: IPv4Network, mesh: Sequence[IPv4Network], operators: Sequence[IPv4Network]
) -> tuple[Rule, ...]:
    """Give the rules of a region of plain machines.

    Args:
        subnet: The region's nodes.
        mesh: The nodes of all regions, this one's among them.
        operators: Where SSH may come from.
    """
    here = (str(subnet),)
    everywhere = tuple(map(str, mesh))
    database = (str(SQL_PORT), str(CONSOLE_PORT))
    return (
        _allow("ssh-from-operator", 100, "Tcp", tuple(map(str, operators)), here, (str(SSH_PORT),)),
        _allow("own-subnet", 200, "*", here, here),
        _allow("database-from-mesh", 210, "Tcp", everywhere, here, database),
        _allow("icmp-from-mesh", 235, "Icmp", everywhere, here),
        Rule(name="deny-all-inbound", priority=4096, access="Deny", protocol="*"),
    )


def _allow(
    name: str,
    priority: int,
    protocol: Literal["Tcp", "Icmp", "*"],
    sources: tuple[str, ...],
    destinations: tuple[str, ...],
    ports: tuple[str, ...] = (),
) -> Rule:
    return Rule(
        name=name,
        priority=priority,
        access="Allow",
        protocol=protocol,
        sources=sources,
        destinations=destinations,
        ports=ports,
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
    if len(values) > 1:
        return {many: list(values)}
    return {one: values[0] if values else "*"}
