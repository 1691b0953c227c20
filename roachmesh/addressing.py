"""Where networks and nodes get their addresses when the topology leaves them out."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
# Azure keeps the first four addresses of a subnet and its last one.
# Source: "Are there any restrictions on using IP addresses within these subnets?", Azure's VNet FAQ.
RESERVED_FIRST, RESERVED_LAST = 4, 1


def is_private(network: IPv4Network) -> bool:
    """Tell whether a range is one of RFC 1918's."""
    return any(network.subnet_of(private) for private in PRIVATE)


def derive_vnets(given: Iterable[IPv4Network | None]) -> list[IPv4Network]:
    """Give every region without a range the first free 10.X.0.0/16, X from 1, in order.

    Raises:
        ValueError: all 255 ranges are taken.
    """
    given = list(given)
    taken = [vnet for vnet in given if vnet is not None]
    candidates = (IPv4Network(f"10.{x}.0.0/16") for x in range(1, 256))
    free = (vnet for vnet in candidates if not any(vnet.overlaps(other) for other in taken))
    try:
        return [vnet or next(free) for vnet in given]
    except StopIteration:
        raise ValueError("10.0.0.0/8 has no free /16 left") from None


def derive_subnet(vnet: IPv4Network) -> IPv4Network:
    """Give the second /24 of a virtual network, or all of one that is too small for that."""
    return IPv4Network((vnet.network_address + 256, 24)) if vnet.prefixlen <= 23 else vnet


def capacity(subnet: IPv4Network) -> int:
    """Count the addresses that nodes can have."""
    return max(0, subnet.num_addresses - RESERVED_FIRST - RESERVED_LAST)


def node_address(subnet: IPv4Network, number: int) -> IPv4Address:
    """Give the address of a region's node; `number` counts from 1, so node 1 is at .4."""
    return subnet[RESERVED_FIRST + number - 1]
