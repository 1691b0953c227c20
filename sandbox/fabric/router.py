"""The packet filter of a virtual network's router: all that Azure's fabric decides about a packet.

A packet passes, in this order: anti-spoofing; the public address of its destination; its way (`routes.py`);
whether the interface at its end takes what is for others; outbound security groups (interface, then subnet);
peerings; inbound security groups (subnet, then interface); the public address of its source. Established
flows skip the groups.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, collapse_addresses

from sandbox.fabric import names, ports, rules
from sandbox.fabric.layout import connected_peers, home, plugged_in
from sandbox.fabric.model import Loss, Network, NetworkInterface, Peering, Subnet, VirtualNetwork
from sandbox.fabric.ports import Port, chain, table_of
from sandbox.fabric.tags import PLATFORM_ADDRESS, AddressSpace
from sandbox.instance import Instance

_EDGE = f'"{names.EDGE_LINK}"'
_DIRECTIONS: tuple[rules.Direction, ...] = ("Inbound", "Outbound")


@dataclass(frozen=True)
class Router:
    """The router of one virtual network."""

    network: VirtualNetwork
    peers: tuple[VirtualNetwork, ...]
    ports: tuple[Port, ...]
    losses: tuple[Loss, ...] = ()

    def ruleset(self) -> str:
        """Render the whole table; loading it replaces the one before in a single step."""
        parts = [
            *self._addresses(),
            chain("lost", self._lost()),
            chain("spoofing", self._spoofing()),
            chain("public_in", self._public_in()),
            chain("public_out", self._public_out()),
            *self._security_groups(),
            *ports.chains(self.ports),
            chain("input", self._input()),
            chain("forward", self._forward()),
        ]
        return table(parts)

    def _addresses(self) -> Iterable[str]:
        """Name the addresses and links that rules look up."""
        here = [(port.interface.address, port.interface.public_address) for port in self.ports]
        public = [(private, address) for private, address in here if address]
        bound = [port for port in self.ports if not port.interface.ip_forwarding]
        forwarding = [f'"{port.link}"' for port in self.ports if port.interface.ip_forwarding]
        yield table_of(
            "map private_of",
            "ipv4_addr : ipv4_addr",
            [f"{address} : {private}" for private, address in public],
        )
        yield table_of(
            "map public_of",
            "ipv4_addr : ipv4_addr",
            [f"{private} : {address}" for private, address in public],
        )
        yield table_of("set has_public", "ipv4_addr", [str(private) for private, _ in public])
        own = [f'"{port.link}" . {port.interface.address}' for port in bound]
        yield table_of("set own", "ifname . ipv4_addr", own)
        yield table_of("set forwarding", "ifname", forwarding)

    def _security_groups(self) -> Iterable[str]:
        """Render every group once, however many interfaces and subnets with the same routes share it."""
        used = {port.space.digest: port.space for port in self.ports}
        for digest, space in used.items():
            ports = [port for port in self.ports if port.space.digest == digest]
            groups = dict.fromkeys(group for port in ports for group in port.groups)
            for direction in _DIRECTIONS:
                yield from (rules.chain(group, direction, space) for group in groups)
            for group in dict.fromkeys(group for port in ports for group in port.resolver_groups):
                yield rules.chain(group, "Outbound", space)

    def _lost(self) -> Iterable[str]:
        """Lose packets where they are sent, before connections are looked up: open ones suffer too."""
        yield "type filter hook prerouting priority raw; policy accept;"
        for loss in self.losses:
            links = [f'"{port.link}"' for port in self.ports if port.interface.id in loss.interfaces]
            never = [IPv4Network(PLATFORM_ADDRESS)] if loss.all_others else []
            addresses = list(collapse_addresses([*loss.addresses, *never]))
            if links and addresses:
                there = rules.address_match(f"ip daddr{' !=' if loss.all_others else ''}", addresses)
                for only in _from_or_to(loss.only):
                    yield f"iifname {{ {', '.join(links)} }} {there} {only} drop"

    def _spoofing(self) -> Iterable[str]:
        yield "type filter hook prerouting priority raw; policy accept;"
        yield 'iifname "n*" iifname != @forwarding iifname . ip saddr != @own drop'

    def _public_in(self) -> Iterable[str]:
        yield "type nat hook prerouting priority dstnat; policy accept;"
        yield f"iifname {_EDGE} dnat ip to ip daddr map @private_of"

    def _public_out(self) -> Iterable[str]:
        yield "type nat hook postrouting priority srcnat; policy accept;"
        yield f"oifname {_EDGE} snat ip to ip saddr map @public_of"

    def _input(self) -> Iterable[str]:
        """Answer for the resolver, and for nothing else: gateways are silent on Azure too."""
        yield "type filter hook input priority filter; policy drop;"
        yield "ct state established,related accept"
        yield 'iifname != "n*" drop'
        yield "iifname vmap @resolver"
        yield f"ip daddr {PLATFORM_ADDRESS} meta l4proto {{ tcp, udp }} th dport 53 accept"

    def _forward(self) -> Iterable[str]:
        yield "type filter hook forward priority filter; policy drop;"
        yield 'oifname "n*" oifname != @forwarding oifname . ip daddr != @own drop comment "for others"'
        yield "ct state established,related accept"
        yield "iifname vmap @outbound"
        for peer in self.peers:
            yield from self._peering(peer)
        yield 'iifname "p*" oifname != "n*" drop comment "peering is not transitive"'
        yield f'iifname {_EDGE} oifname != "n*" drop'
        yield f"iifname {_EDGE} ct status & dnat != dnat drop"
        # Azure drops what has no way out in silence; an answer saves people the wait.
        yield f"oifname {_EDGE} ip saddr != @has_public reject with icmp net-unreachable"
        yield "oifname vmap @inbound"
        yield "accept"

    def _peering(self, peer: VirtualNetwork) -> Iterable[str]:
        link, half = names.to_peer(peer.id), half_of(self.network, peer)
        if not half.allow_access:
            yield f'oifname "{link}" drop comment "no access"'
        if not half.allow_forwarded:
            sources = rules.address_match("ip saddr !=", peer.prefixes)
            yield f'iifname "{link}" {sources} drop comment "forwarded by the peer"'


def half_of(network: VirtualNetwork, peer: VirtualNetwork) -> Peering:
    """Return what a network says of a peer."""
    return next(half for half in network.peerings if half.remote_network == peer.id)


def address_spaces(network: VirtualNetwork, peers: Iterable[VirtualNetwork]) -> dict[str, AddressSpace]:
    """Return what service tags mean in each subnet, by its id."""
    accessible = [peer for peer in peers if half_of(network, peer).allow_access]
    everywhere = (*network.prefixes, *(prefix for peer in accessible for prefix in peer.prefixes))
    return {
        subnet.id: AddressSpace(everywhere, tuple(route.prefix for route in subnet.routes))
        for subnet in network.subnets
    }


def _from_or_to(prefixes: Sequence[IPv4Network]) -> list[str]:
    """Match packets that come from or go to some prefixes; without any, all packets."""
    if not prefixes:
        return [""]
    some = list(collapse_addresses(prefixes))
    return [rules.address_match(field, some) for field in ("ip saddr", "ip daddr")]


def table(parts: Iterable[str]) -> str:
    """Render a table that takes the place of the one before, at once."""
    return "\n".join(
        ["table inet fabric", "delete table inet fabric", "table inet fabric {", *parts, "}", ""]
    )


def rulesets(instance: Instance, network: Network) -> dict[str, str]:
    """Render the filters of all routers, by namespace."""
    in_network: dict[str, list[tuple[NetworkInterface, Subnet]]] = defaultdict(list)
    for interface in plugged_in(network):
        virtual_network, subnet = home(interface, network)
        in_network[virtual_network.id].append((interface, subnet))
    found = {}
    for one in network.virtual_networks:
        peers = tuple(connected_peers(one, network))
        spaces = address_spaces(one, peers)
        here = tuple(Port(interface, subnet, spaces[subnet.id]) for interface, subnet in in_network[one.id])
        found[names.router(instance, one.id)] = Router(one, peers, here, network.losses).ruleset()
    return found
