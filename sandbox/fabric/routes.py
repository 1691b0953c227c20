"""Where packets of a subnet go: the user-defined routes of its table beside those that Azure has itself.

The longest prefix decides; of two equal ones the user-defined. Only the interface that sends is asked: a
packet for a virtual appliance is delivered to it wherever it is, with its destination unchanged, and the
routes of the appliance's own subnet have no say in it.

In the kernel, a subnet with such routes has a table of its own in its network's router, for packets from its
interfaces. What Azure routes itself is thrown out of it, back to what holds for all. For appliances across a
peering the peer's router has a second table, for packets from that peering.

Source: "Virtual network traffic routing" in the Azure documentation.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from sandbox.fabric import names
from sandbox.fabric.layout import OTHER_END, Plan, Table, connected_peers, home, plugged_in
from sandbox.fabric.model import Network, Subnet, VirtualNetwork
from sandbox.fabric.tags import EVERYWHERE
from sandbox.instance import Instance

NOT_ROUTED = tuple(
    IPv4Network(prefix) for prefix in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)


@dataclass(frozen=True)
class EffectiveRoute:
    """A route as an interface has it; one that a user-defined route takes the place of is not active."""

    prefix: IPv4Network
    next_hop: Literal["VirtualAppliance", "VnetLocal", "VNetPeering", "Internet", "None"]
    address: IPv4Address | None = None
    is_users: bool = False
    is_active: bool = True


def effective(
    network: VirtualNetwork, peers: Iterable[VirtualNetwork], subnet: Subnet
) -> Iterator[EffectiveRoute]:
    """Yield all routes of a subnet's interfaces, Azure's own first."""
    users = {route.prefix for route in subnet.routes}
    own: dict[IPv4Network, Literal["VnetLocal", "VNetPeering", "Internet", "None"]] = {
        EVERYWHERE: "Internet",
        **dict.fromkeys(NOT_ROUTED, "None"),
        **{prefix: "VNetPeering" for peer in peers for prefix in peer.prefixes},
        **dict.fromkeys(network.prefixes, "VnetLocal"),
    }
    for prefix, next_hop in own.items():
        yield EffectiveRoute(prefix, next_hop, is_active=prefix not in users)
    for route in subnet.routes:
        yield EffectiveRoute(route.prefix, route.next_hop, route.address, is_users=True)


def add_tables(wanted: Plan, instance: Instance, network: Network) -> None:
    """Ask for the tables of all subnets that have user-defined routes."""
    if not any(subnet.routes for one in network.virtual_networks for subnet in one.subnets):
        return
    senders: dict[str, list[str]] = defaultdict(list)
    deliveries: dict[str, dict[IPv4Address, str]] = defaultdict(dict)
    for interface in plugged_in(network):
        link = names.to_interface(interface.id)
        senders[interface.subnet].append(link)
        deliveries[home(interface, network)[0].id][interface.address] = _over(link, interface.address)
    for one in network.virtual_networks:
        if any(subnet.routes for subnet in one.subnets):
            _add_network(wanted, instance, one, list(connected_peers(one, network)), senders, deliveries)


def _add_network(
    wanted: Plan,
    instance: Instance,
    network: VirtualNetwork,
    peers: Sequence[VirtualNetwork],
    senders: Mapping[str, Sequence[str]],
    deliveries: Mapping[str, Mapping[IPv4Address, str]],
) -> None:
    """Ask for a table for each subnet, and in each peer for one for what comes from here.

    Args:
        wanted: What is asked for.
        instance: Where.
        network: The network that packets are sent in.
        peers: Those that it is connected with.
        senders: The links of interfaces, by subnet.
        deliveries: How an interface gets a packet, by network and address.
    """
    beyond = {address: peer.id for peer in peers for address in deliveries[peer.id]}
    ways = {address: _over(names.to_peer(peer)) for address, peer in beyond.items()}
    ways |= deliveries[network.id]
    arriving: dict[str, dict[IPv4Network, str]] = defaultdict(dict)
    for subnet in (subnet for subnet in network.subnets if subnet.routes):
        routes = [route for route in effective(network, peers, subnet) if route.is_active]
        table = Table(frozenset(_leaving(route, ways) for route in routes))
        wanted.add_table(names.router(instance, network.id), table, senders[subnet.id])
        for route in subnet.routes:
            if route.address in beyond:
                # From which subnet it came is not known there: of two that send the same prefix to
                # different appliances of one peer, the first counts.
                peer = beyond[route.address]
                arriving[peer].setdefault(route.prefix, f"{route.prefix} {deliveries[peer][route.address]}")
    for other in peers:
        if lines := arriving.get(other.id):
            own = [f"throw {prefix}" for prefix in (EVERYWHERE, *other.prefixes) if prefix not in lines]
            table = Table(frozenset([*lines.values(), *own]))
            wanted.add_table(names.router(instance, other.id), table, [names.to_peer(network.id)])


def _leaving(route: EffectiveRoute, ways: Mapping[IPv4Address, str]) -> str:
    """Lead a packet away from where it was sent."""
    if not route.is_users or route.next_hop == "VnetLocal":
        return f"throw {route.prefix}"
    if route.next_hop == "Internet":
        return f"{route.prefix} {_over(names.EDGE_LINK)}"
    if route.address and route.address in ways:
        return f"{route.prefix} {ways[route.address]}"
    return f"blackhole {route.prefix}"  # the next hop is None, or an address that nobody has


def _over(link: str, address: IPv4Address = OTHER_END) -> str:
    return f"via {address} dev {link} onlink"
