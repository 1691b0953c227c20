"""A plugged interface as its router sees it: a link, and the security groups that judge its packets."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sandbox.fabric import names, rules
from sandbox.fabric.model import NetworkInterface, SecurityGroup, SecurityRule, Subnet
from sandbox.fabric.tags import RESOLVER_TAG, AddressSpace

_ALLOW_THE_REST = SecurityRule("Rest", "Outbound", 65536, "Allow", "*", ("*",), ("*",), ("*",), ("*",))


@dataclass(frozen=True)
class Port:
    """An interface, the subnet that it is in, and what tags mean there."""

    interface: NetworkInterface
    subnet: Subnet
    space: AddressSpace

    @property
    def link(self) -> str:
        """The router's link to it."""
        return names.to_interface(self.interface.id)

    @property
    def groups(self) -> list[SecurityGroup]:
        """Its security groups, in the order in which inbound packets meet them."""
        return [group for group in (self.subnet.security_group, self.interface.security_group) if group]

    @property
    def resolver_groups(self) -> list[SecurityGroup]:
        """What of its groups applies to the resolver: rules that name its tag, and no others.

        Source: "What is IP address 168.63.129.16?", Azure documentation.
        """
        naming = [
            replace(group, rules=tuple(filter(_names_the_resolver, group.rules))) for group in self.groups
        ]
        return [replace(group, rules=(*group.rules, _ALLOW_THE_REST)) for group in naming if group.rules]

    def chains(self) -> dict[str, list[str]]:
        """Return the bodies of its three chains; an empty one refuses nothing."""
        inbound = self._jumps(self.groups, "Inbound")
        # A standard public address is closed until a security group opens it.
        closed = [f'iifname "{names.EDGE_LINK}" drop']
        return {
            "inbound": inbound or closed,
            "outbound": self._jumps(self.groups[::-1], "Outbound"),
            "resolver": self._jumps(self.resolver_groups[::-1], "Outbound"),
        }

    def _jumps(self, groups: Iterable[SecurityGroup], direction: rules.Direction) -> list[str]:
        return [f"jump {rules.chain_name(group, direction, self.space)}" for group in groups]


def chains(ports: Iterable[Port]) -> Iterable[str]:
    """Render the chains of all ports, and per kind of packet the map that leads there."""
    by_kind: dict[str, dict[str, str]] = {"inbound": {}, "outbound": {}, "resolver": {}}
    for port in ports:
        for kind, lines in port.chains().items():
            if lines:
                by_kind[kind][port.link] = f"{port.link}_{kind}"
                yield chain(f"{port.link}_{kind}", lines)
    for kind, leads in by_kind.items():
        elements = [f'"{link}" : jump {name}' for link, name in leads.items()]
        yield table_of(f"map {kind}", "ifname : verdict", elements)


def chain(name: str, lines: Iterable[str]) -> str:
    """Render a chain."""
    body = "\n".join(f"    {line}" for line in lines)
    return f"  chain {name} {{\n{body}\n  }}"


def table_of(name: str, kind: str, elements: Iterable[str]) -> str:
    """Render a named set or map; nftables does not take an empty list of elements."""
    listed = ", ".join(elements)
    return f"  {name} {{ type {kind}; {f'elements = {{ {listed} }};' if listed else ''} }}"


def _names_the_resolver(rule: SecurityRule) -> bool:
    named = {prefix.lower() for prefix in rule.destination_prefixes}
    return rule.direction == "Outbound" and RESOLVER_TAG.lower() in named
