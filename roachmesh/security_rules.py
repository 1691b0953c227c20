"""Who may reach what: the inbound rules of a region's network security group, by priority.

The last one denies the rest, for Azure's own rule 65000 admits whatever is tagged VirtualNetwork.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Annotated, Any, Literal

from pydantic import Field

from roachmesh.topology import Model

SQL_PORT = 26257
CONSOLE_PORT = 8080
SSH_PORT = 22


ANY = ("*",)
OneOrMore = Annotated[tuple[str, ...], Field(min_length=1)]


class Rule(Model):
    """One inbound rule; "any" is said aloud, an empty list would be a mistake."""

    name: str
    priority: int
    access: Literal["Allow", "Deny"]
    protocol: Literal["Tcp", "Icmp", "*"]
    sources: OneOrMore
    destinations: OneOrMore
    ports: OneOrMore


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
        _rule("ssh-from-operator", 100, "Allow", "Tcp", tuple(map(str, operators)), here, (str(SSH_PORT),)),
        _rule("own-subnet", 200, "Allow", "*", here, here),
        _rule("database-from-mesh", 210, "Allow", "Tcp", everywhere, here, database),
        _rule("icmp-from-mesh", 235, "Allow", "Icmp", everywhere, here),
        _rule("deny-all-inbound", 4096, "Deny", "*", ANY, ANY),
    )


def _rule(
    name: str,
    priority: int,
    access: Literal["Allow", "Deny"],
    protocol: Literal["Tcp", "Icmp", "*"],
    sources: tuple[str, ...],
    destinations: tuple[str, ...],
    ports: tuple[str, ...] = ANY,
) -> Rule:
    return Rule(
        name=name,
        priority=priority,
        access=access,
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
    return {many: list(values)} if len(values) > 1 else {one: values[0]}
