"""What the fabric is told: one plain description of all networks, applied as a whole.

ARM's JSON is turned into this in `sandbox/arm/fabric.py`; nothing here knows ARM.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Literal


@dataclass(frozen=True)
class SecurityRule:
    """One rule of a security group; prefixes may be `*` or a service tag, ports `*`, `443` or `1-9`."""

    name: str
    direction: Literal["Inbound", "Outbound"]
    priority: int
    access: Literal["Allow", "Deny"]
    protocol: Literal["Tcp", "Udp", "Icmp", "*"]
    source_prefixes: tuple[str, ...]
    source_ports: tuple[str, ...]
    destination_prefixes: tuple[str, ...]
    destination_ports: tuple[str, ...]


@dataclass(frozen=True)
class SecurityGroup:
    """All rules of a network security group, Azure's six default rules among them."""

    rules: tuple[SecurityRule, ...]


NextHop = Literal["VirtualAppliance", "VnetLocal", "Internet", "None"]


@dataclass(frozen=True)
class UserDefinedRoute:
    """What a route table says of a prefix; `address` is the virtual appliance's."""

    prefix: IPv4Network
    next_hop: NextHop
    address: IPv4Address | None = None


@dataclass(frozen=True)
class Subnet:
    """A subnet, with the security group and the routes of the table that are associated with it."""

    id: str
    prefix: IPv4Network
    security_group: SecurityGroup | None = None
    routes: tuple[UserDefinedRoute, ...] = ()


@dataclass(frozen=True)
class Peering:
    """One half of a peering: what this network says of `remote_network` (its id)."""

    remote_network: str
    allow_access: bool
    allow_forwarded: bool


@dataclass(frozen=True)
class VirtualNetwork:
    """A virtual network; packets cross to another one only where both halves of a peering exist."""

    id: str
    prefixes: tuple[IPv4Network, ...]
    subnets: tuple[Subnet, ...]
    peerings: tuple[Peering, ...] = ()


@dataclass(frozen=True)
class NetworkInterface:
    """A network interface; it is plugged in while `machine` names the machine it is attached to.

    The resolver of its virtual network answers for `hostname` with its address.
    """

    id: str
    subnet: str
    address: IPv4Address
    machine: str | None = None
    public_address: IPv4Address | None = None
    ip_forwarding: bool = False
    security_group: SecurityGroup | None = None
    hostname: str | None = None


@dataclass(frozen=True)
class Loss:
    """Packets that are lost on purpose: from some interfaces to some addresses, or to all others.

    Where `only` names prefixes, a packet is lost if it comes from or goes to one of them.
    """

    interfaces: frozenset[str]
    addresses: tuple[IPv4Network, ...]
    all_others: bool = False
    only: tuple[IPv4Network, ...] = ()


@dataclass(frozen=True)
class Network:
    """Everything the fabric carries at one moment, what it loses, and whether anybody tells the time."""

    virtual_networks: tuple[VirtualNetwork, ...] = ()
    interfaces: tuple[NetworkInterface, ...] = ()
    losses: tuple[Loss, ...] = ()
    has_time: bool = True
