"""Where networks and nodes get their addresses when the topology leaves them out, and which may be given."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, ip_network
from typing import Literal, TypeVar

from roachmesh.wording import shown, strange_character

PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
# Nothing from these arrives from the internet. Source: the IANA registry of special-purpose addresses.
NEVER_PUBLIC = (
    *PRIVATE,
    *map(IPv4Network, "0.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 224.0.0.0/4 240.0.0.0/4".split()),
)
# Azure keeps the first four addresses of a subnet and its last one.
# Source: "Are there any restrictions on using IP addresses within these subnets?", Azure's VNet FAQ.
RESERVED_FIRST, RESERVED_LAST = 4, 1
SMALLEST = 29  # the prefix of Azure's smallest subnet; source: the same FAQ
WIDEST_OPERATOR = 8

Kind = Literal["vnet", "pods", "services"]
Key = TypeVar("Key")
# Each kind takes 10.X.0.0/16 from numbers of its own, so that a region that is added moves nobody else's.
_OWN: dict[Kind, tuple[int, ...]] = {
    "vnet": (*range(1, 10), *range(30, 100)),
    "pods": (*range(10, 20), *range(100, 170)),
    "services": (*range(20, 30), *range(170, 240)),
}
# Kubernetes gives each node a /24 of the pods' range, and k3s the tenth address of the services to its DNS.
# Source: "Cluster networking" of Kubernetes (node-cidr-mask-size), "Basic network options" of k3s.
NODE_PODS = 24
SERVICES_WIDEST, SERVICES_SMALLEST = 12, 24
DNS_NUMBER = 10

RANGE = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}")


def read_range(value: object) -> IPv4Network:
    """Read an address range, written as `10.1.0.0/16` and in no other way.

    Raises:
        ValueError: it is written otherwise, and how to write it.
    """
    if isinstance(value, IPv4Network):
        return value
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is no address range; write one such as 10.1.0.0/16.")
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        odd = strange_character(value)
        raise ValueError(f"{shown(value)} is no address range{odd}; write one such as 10.1.0.0/16.") from None
    if not isinstance(network, IPv4Network):
        raise ValueError(f"{shown(value)} is IPv6 and everything here is IPv4; write a range of IPv4.")
    if "/" not in value:
        around = network.supernet(new_prefix=24)
        raise ValueError(
            f"{shown(value)} is one address; write {network} for it alone, or a range such as {around}."
        )
    if not RANGE.fullmatch(value):
        raise ValueError(f"{shown(value)} is written unusually; write {network}.")
    if value != str(network):
        raise ValueError(f"{shown(value)} has bits set behind its prefix; write {network}.")
    return network


def refuse_network(network: IPv4Network) -> IPv4Network:
    """Pass on a range that a virtual network or subnet of ours can have.

    Raises:
        ValueError: it is not private, or too small for Azure.
    """
    if not any(network.subnet_of(private) for private in PRIVATE):
        private = ", ".join(map(str, PRIVATE))
        raise ValueError(f"{network} is not private; write a part of {private}, such as 10.1.0.0/16.")
    if network.prefixlen > SMALLEST:
        raise ValueError(
            f"{network} is too small, Azure's smallest range is a /{SMALLEST}; write a larger one."
        )
    return network


def refuse_operator(network: IPv4Network) -> IPv4Network:
    """Pass on a range that SSH may come from.

    Raises:
        ValueError: it opens SSH to the world, or is one that never arrives from the internet.
    """
    if network.prefixlen < WIDEST_OPERATOR:
        raise ValueError(
            f"{network} opens SSH to {network.num_addresses:,} addresses; write your own, "
            "such as 203.0.113.7/32."
        )
    if any(network.overlaps(other) for other in NEVER_PUBLIC):
        raise ValueError(
            f"{network} never arrives from the internet, where machines are reached; write the public "
            "address that you come from, such as 203.0.113.7/32."
        )
    return network


def overlaps(networks: Sequence[IPv4Network]) -> Iterator[tuple[int, int]]:
    """Give pairs of indexes whose ranges overlap, the smaller index first, one pair for each culprit.

    Two ranges are apart or one holds the other, so in their order a look at the last enclosing one is enough.
    """
    enclosing: list[int] = []
    for i in sorted(range(len(networks)), key=lambda i: (networks[i], i)):
        while enclosing and not networks[i].subnet_of(networks[enclosing[-1]]):
            enclosing.pop()
        if enclosing:
            yield min(i, enclosing[-1]), max(i, enclosing[-1])
        enclosing.append(i)


def derive(given: Mapping[tuple[Key, Kind], IPv4Network | None]) -> dict[tuple[Key, Kind], IPv4Network]:
    """Give every range that is left out the first free 10.X.0.0/16 of its kind, in order.

    Args:
        given: The ranges by whose they are and their kind; None for those to derive.

    Raises:
        ValueError: all ranges are taken.
    """
    ranges = {key: network for key, network in given.items() if network is not None}
    for kind in _OWN:
        free = _free(kind, ranges.values())
        for key in (key for key, network in given.items() if network is None and key[1] == kind):
            ranges[key] = next(free)
    return ranges


def _free(kind: Kind, taken: Iterable[IPv4Network]) -> Iterator[IPv4Network]:
    """Give those of a kind that are free, then any others."""
    first = int(IPv4Address("10.0.0.0")) >> 16
    used = {
        number - first
        for range_ in taken
        if range_.overlaps(PRIVATE[0])
        for number in range(int(range_[0]) >> 16, (int(range_[-1]) >> 16) + 1)
    }
    for number in dict.fromkeys((*_OWN[kind], *range(1, 256))):
        if number not in used:
            yield IPv4Network(f"10.{number}.0.0/16")
    raise ValueError("10.0.0.0/8 has no free /16 left")


def derive_subnet(vnet: IPv4Network) -> IPv4Network:
    """Give the second /24 of a virtual network, or all of one that is too small for that."""
    return IPv4Network((vnet.network_address + 256, 24)) if vnet.prefixlen <= 23 else vnet


def capacity(subnet: IPv4Network) -> int:
    """Count the addresses that nodes can have."""
    return max(0, subnet.num_addresses - RESERVED_FIRST - RESERVED_LAST)


def prefix_for(nodes: int) -> int:
    """Give the prefix length of the smallest subnet with room for so many nodes."""
    return min(SMALLEST, 32 - (nodes + RESERVED_FIRST + RESERVED_LAST - 1).bit_length())


def node_address(subnet: IPv4Network, number: int) -> IPv4Address:
    """Give the address of a region's node; `number` counts from 1, so node 1 is at .4."""
    return subnet[RESERVED_FIRST + number - 1]
