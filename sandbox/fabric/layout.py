"""What stands in the kernel when the fabric carries a network: the target of every `apply`.

One namespace is the internet ("the edge"), one per virtual network routes and filters, one per machine
holds its interfaces. All links are point to point, so that no packet reaches anything but a router.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from sandbox.fabric import names
from sandbox.fabric.model import Network, NetworkInterface, Subnet, VirtualNetwork
from sandbox.fabric.tags import EVERYWHERE, PLATFORM_ADDRESS
from sandbox.instance import Instance

THIS_COMPUTER = ""  # as the name of a namespace
OTHER_END = IPv4Address("169.254.0.1")  # the next hop on every link; a fixed neighbour, no ARP
GATEWAY_MAC = "12:34:56:78:9a:bc"  # what every machine on Azure sees in its ARP table

EndName = tuple[str, str]  # a namespace, and a link in it


@dataclass(frozen=True)
class End:
    """One end of a link.

    Attributes:
        address: With the prefix of its subnet.
        gateway: Where its namespace's default route goes.
        neighbours: Addresses with the hardware address that answers for them; no ARP is asked.
    """

    namespace: str
    name: str
    mac: str
    address: IPv4Interface | None = None
    gateway: IPv4Address | None = None
    neighbours: tuple[tuple[IPv4Address, str], ...] = ()

    @property
    def key(self) -> EndName:
        """What names it on this computer."""
        return self.namespace, self.name


@dataclass(frozen=True)
class Link:
    """A pair of interfaces; it belongs to the namespace of `near` and goes with it."""

    near: End
    far: End

    @property
    def digest(self) -> str:
        """Tell whether a link that exists already is this one; the kernel keeps it as its alias."""
        return sha256(repr(self).encode()).hexdigest()


@dataclass(frozen=True)
class Route:
    """A way to a destination, over the other end of a link or (`via` None) right behind it."""

    namespace: str
    destination: IPv4Network
    link: str
    via: IPv4Address | None = OTHER_END


@dataclass(frozen=True)
class Table:
    """Routes, as `ip` writes them, that packets from some links follow before those that hold for all."""

    lines: frozenset[str]

    @cached_property
    def number(self) -> int:
        """Its number, made of its content: another table stands beside this one until it is whole."""
        return 1000 + int(sha256("\n".join(sorted(self.lines)).encode()).hexdigest()[:7], 16)


TableName = tuple[str, int]  # a namespace, and a number in it


@dataclass(frozen=True)
class Rule:
    """Packets that come in over a link look into a table first."""

    namespace: str
    link: str
    table: int


@dataclass
class Layout:
    """Namespaces, links, routes and addresses of routers; filters and daemons are told apart.

    Attributes:
        links: Digests by namespace and name of the near end.
        ends: All ends of links, whole or not.
        addresses: What routers and the edge answer for themselves.
        tables: Those that are whole.
    """

    namespaces: set[str] = field(default_factory=set)
    links: dict[EndName, str] = field(default_factory=dict)
    ends: set[EndName] = field(default_factory=set)
    routes: set[Route] = field(default_factory=set)
    addresses: set[tuple[str, IPv4Address]] = field(default_factory=set)
    tables: set[TableName] = field(default_factory=set)
    rules: set[Rule] = field(default_factory=set)


@dataclass
class Plan(Layout):
    """A layout with all that is needed to make it."""

    definitions: dict[EndName, Link] = field(default_factory=dict)
    contents: dict[TableName, Table] = field(default_factory=dict)

    def add_link(self, near: End, far: End) -> None:
        """Ask for a link."""
        link = Link(near, far)
        self.links[near.key] = link.digest
        self.ends |= {near.key, far.key}
        self.definitions[near.key] = link

    def add_table(self, namespace: str, table: Table, links: Iterable[str]) -> None:
        """Ask for a table, for packets that come in over some links."""
        self.tables.add((namespace, table.number))
        self.contents[namespace, table.number] = table
        self.rules |= {Rule(namespace, link, table.number) for link in links}


def plan(instance: Instance, network: Network) -> Plan:
    """Derive everything from the description."""
    wanted = Plan()
    _add_edge(wanted, instance)
    for virtual_network in network.virtual_networks:
        _add_router(wanted, instance, virtual_network)
        for peer in connected_peers(virtual_network, network):
            _add_peer(wanted, instance, virtual_network, peer)
    places: Counter[str | None] = Counter()
    for interface in plugged_in(network):
        _add_interface(wanted, instance, interface, *home(interface, network), places[interface.machine])
        places[interface.machine] += 1
    return wanted


def plugged_in(network: Network) -> list[NetworkInterface]:
    """Return the interfaces that are attached to a machine."""
    return [interface for interface in network.interfaces if interface.machine]


def home(interface: NetworkInterface, network: Network) -> tuple[VirtualNetwork, Subnet]:
    """Return where an interface is."""
    for virtual_network in network.virtual_networks:
        for subnet in virtual_network.subnets:
            if subnet.id == interface.subnet:
                return virtual_network, subnet
    raise LookupError(f"interface {interface.id} is in subnet {interface.subnet}, which is in no network")


def connected_peers(one: VirtualNetwork, network: Network) -> Iterable[VirtualNetwork]:
    """Yield the networks that peer with this one while it peers with them."""
    by_id = {other.id: other for other in network.virtual_networks}
    for peering in one.peerings:
        other = by_id.get(peering.remote_network)
        if other and any(half.remote_network == one.id for half in other.peerings):
            yield other


def _add_edge(wanted: Plan, instance: Instance) -> None:
    edge, here = names.edge(instance), names.on_this_computer(instance)
    wanted.namespaces.add(edge)
    wanted.addresses |= {(edge, instance.mirror_address), (edge, instance.time_address)}
    near = _far_end(edge, names.HOST_LINK, THIS_COMPUTER, here)
    far = _far_end(THIS_COMPUTER, here, edge, names.HOST_LINK, IPv4Interface(instance.host_address))
    wanted.add_link(near, far)
    wanted.routes.add(Route(edge, IPv4Network(instance.host_address), names.HOST_LINK))
    wanted.routes.add(Route(THIS_COMPUTER, instance.public_network, here))


def _add_router(wanted: Plan, instance: Instance, network: VirtualNetwork) -> None:
    router, edge = names.router(instance, network.id), names.edge(instance)
    to_network = names.to_network(network.id)
    wanted.namespaces.add(router)
    wanted.addresses |= {(router, PLATFORM_ADDRESS)} | {(router, gateway(s)) for s in network.subnets}
    wanted.add_link(
        _far_end(router, names.EDGE_LINK, edge, to_network),
        _far_end(edge, to_network, router, names.EDGE_LINK),
    )
    wanted.routes.add(Route(router, EVERYWHERE, names.EDGE_LINK))


def _add_peer(wanted: Plan, instance: Instance, network: VirtualNetwork, peer: VirtualNetwork) -> None:
    router, other = names.router(instance, network.id), names.router(instance, peer.id)
    here, there = names.to_peer(peer.id), names.to_peer(network.id)
    if router < other:  # one link carries both halves
        wanted.add_link(_far_end(router, here, other, there), _far_end(other, there, router, here))
    wanted.routes |= {Route(router, prefix, here) for prefix in peer.prefixes}


def _add_interface(
    wanted: Plan,
    instance: Instance,
    interface: NetworkInterface,
    network: VirtualNetwork,
    subnet: Subnet,
    place: int,
) -> None:
    router, link = names.router(instance, network.id), names.to_interface(interface.id)
    machine = names.machine(instance, interface.machine or "")
    mac = names.interface_mac(interface.id)
    wanted.namespaces.add(machine)
    wanted.add_link(
        End(router, link, GATEWAY_MAC, neighbours=((interface.address, mac),)),
        End(
            machine,
            f"eth{place}",
            mac,
            IPv4Interface((interface.address, subnet.prefix.prefixlen)),
            gateway(subnet) if place == 0 else None,
        ),
    )
    wanted.routes.add(Route(router, IPv4Network(interface.address), link, via=None))
    if interface.public_address:
        wanted.routes.add(
            Route(names.edge(instance), IPv4Network(interface.public_address), names.to_network(network.id))
        )


def gateway(subnet: Subnet) -> IPv4Address:
    """Return the address that Azure reserves for the gateway of a subnet."""
    return subnet.prefix[1]


def _far_end(
    namespace: str, name: str, other: str, other_name: str, address: IPv4Interface | None = None
) -> End:
    """Describe an end between two of the fabric's own namespaces."""
    neighbour = (OTHER_END, names.link_mac(other, other_name))
    return End(namespace, name, names.link_mac(namespace, name), address, neighbours=(neighbour,))
