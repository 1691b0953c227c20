"""Security groups as nftables chains.

An allowed packet returns from the chain (the next group may still refuse it), a denied one is dropped
without an answer. Established flows never come here: as on Azure, an edited rule judges new flows only.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from ipaddress import IPv4Network
from typing import Literal

from sandbox.fabric.model import SecurityGroup, SecurityRule
from sandbox.fabric.tags import EVERYWHERE, AddressSpace

Direction = Literal["Inbound", "Outbound"]

_VERDICTS = {"Allow": "return", "Deny": "drop"}
_ALL_PORTS = (0, 65535)


def chain_name(group: SecurityGroup, direction: Direction, space: AddressSpace) -> str:
    """Name the chain of a group; equal groups share it, where tags mean the same."""
    return f"sg_{sha256((space.digest + repr(group)).encode()).hexdigest()[:10]}_{direction.lower()}"


@lru_cache(maxsize=4096)
def chain(group: SecurityGroup, direction: Direction, space: AddressSpace) -> str:
    """Render all rules of one direction, by priority."""
    rules = sorted((rule for rule in group.rules if rule.direction == direction), key=lambda r: r.priority)
    lines = [line for rule in rules for line in _rule(rule, space)]
    body = "\n".join(f"    {line}" for line in [*lines, "drop"])
    return f"  chain {chain_name(group, direction, space)} {{\n{body}\n  }}"


def address_match(field: str, networks: Sequence[IPv4Network]) -> str:
    """Match a header field with some networks; with all of them there is nothing to match."""
    if list(networks) == [EVERYWHERE]:
        return ""
    return f"{field} {{ {', '.join(map(str, networks))} }}"


def _rule(rule: SecurityRule, space: AddressSpace) -> Iterable[str]:
    sources, destinations = space.expand(rule.source_prefixes), space.expand(rule.destination_prefixes)
    if not sources or not destinations:  # it names IPv6 addresses only
        return
    addresses = [address_match("ip saddr", sources), address_match("ip daddr", destinations)]
    comment = re.sub(r"[^\w.-]", "_", rule.name, flags=re.ASCII)[:100]
    parts = [*addresses, *_transport(rule), _VERDICTS[rule.access], f'comment "{comment}"']
    yield " ".join(part for part in parts if part)


def _transport(rule: SecurityRule) -> list[str]:
    """Match protocol and ports; ports of a rule for any protocol mean TCP and UDP."""
    if rule.protocol == "Icmp":  # it has no ports, whatever the rule says
        return ["meta l4proto icmp"]
    ports = [_ports("th sport", rule.source_ports), _ports("th dport", rule.destination_ports)]
    if rule.protocol != "*":
        return [f"meta l4proto {rule.protocol.lower()}", *ports]
    return ["meta l4proto { tcp, udp }", *ports] if any(ports) else []


def _ports(field: str, ports: Iterable[str]) -> str:
    ranges = _merged(_ALL_PORTS if port == "*" else _range(port) for port in ports)
    if ranges == [_ALL_PORTS]:
        return ""
    return f"{field} {{ {', '.join(f'{low}-{high}' if low < high else str(low) for low, high in ranges)} }}"


def _range(port: str) -> tuple[int, int]:
    low, _, high = port.partition("-")
    return int(low), int(high or low)


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join ranges that overlap: nftables refuses a set that holds such."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged
