"""From the store to the network that packets see: a pure function of what was written."""

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network

from sandbox.arm.locations import canonical
from sandbox.arm.resources.machine_spec import machine_key
from sandbox.arm.resources.rule_fields import FIELDS, default_rules, field_values
from sandbox.arm.store import Json, Resource, Store
from sandbox.fabric.model import (
    Loss,
    Network,
    NetworkInterface,
    NextHop,
    Peering,
    SecurityGroup,
    SecurityRule,
    Subnet,
    UserDefinedRoute,
    VirtualNetwork,
)
from sandbox.faults.faults import Faults
from sandbox.faults.kinds import Cut, NoTime

INTERFACES = "Microsoft.Network/networkInterfaces"
NETWORKS = "Microsoft.Network/virtualNetworks"


def describe(store: Store, faults: Faults) -> Network:
    """Describe everything that the fabric has to carry, and what it is to lose."""
    networks = store.of_type(NETWORKS)
    return Network(
        virtual_networks=tuple(_virtual_network(store, network) for network in networks),
        interfaces=tuple(_interface(store, interface) for interface in store.of_type(INTERFACES)),
        losses=tuple(loss for cut in faults.active(Cut) for loss in _losses(store, cut)),
        has_time=not faults.active(NoTime),
    )


def _losses(store: Store, cut: Cut) -> Iterator[Loss]:
    """What two ends send to each other; what a single end and everybody else do."""
    here, *others = [_interfaces_at(store, end) for end in cut.ends]
    mine = {interface.id for interface in here}
    everybody = [_interface(store, interface) for interface in store.of_type(INTERFACES)]
    there = others[0] if others else [one for one in everybody if one.id not in mine]
    only = cut.prefixes
    yield Loss(_ids(there), _addresses(store, here), only=only)
    yield Loss(_ids(here), _addresses(store, there if others else here), all_others=not others, only=only)


def _ids(interfaces: list[NetworkInterface]) -> frozenset[str]:
    return frozenset(interface.id for interface in interfaces)


def _addresses(store: Store, interfaces: list[NetworkInterface]) -> tuple[IPv4Network, ...]:
    """What leads to some interfaces: their addresses, and prefixes that are routed to them, as those of pods.

    Not those that a network has itself: an appliance that others' packets pass through is not where they go.
    """
    own = [one for found in interfaces for one in (found.address, found.public_address) if one]
    networks = [prefix for network in store.of_type(NETWORKS) for prefix in _prefixes(network)]
    routed = {
        route.prefix
        for subnet in store.of_type(f"{NETWORKS}/subnets")
        for route in _routes(store, subnet)
        if route.address in own and not any(route.prefix.overlaps(prefix) for prefix in networks)
    }
    return (*map(IPv4Network, own), *sorted(routed))


def _interfaces_at(store: Store, place: str) -> list[NetworkInterface]:
    """The interfaces of a region, or of a machine."""
    found = []
    for interface in store.of_type(INTERFACES):
        machine = _machine(store, interface)
        if interface.location == canonical(place) or (machine and machine.id.name.lower() == place.lower()):
            found.append(_interface(store, interface))
    return found


def _virtual_network(store: Store, network: Resource) -> VirtualNetwork:
    subnets = store.children(network.id, "subnets")
    peerings = store.children(network.id, "virtualNetworkPeerings")
    return VirtualNetwork(
        id=network.id.key,
        prefixes=_prefixes(network),
        subnets=tuple(_subnet(store, subnet) for subnet in subnets),
        peerings=tuple(_peering(half) for half in peerings if half.hidden["state"] != "Disconnected"),
    )


def _prefixes(network: Resource) -> tuple[IPv4Network, ...]:
    return tuple(IPv4Network(text) for text in network.properties["addressSpace"]["addressPrefixes"])


def _subnet(store: Store, subnet: Resource) -> Subnet:
    several = subnet.properties.get("addressPrefixes") or [subnet.properties["addressPrefix"]]
    return Subnet(
        id=subnet.id.key,
        prefix=IPv4Network(several[0]),
        security_group=_security_group(store, subnet.properties),
        routes=tuple(_routes(store, subnet)),
    )


def _routes(store: Store, subnet: Resource) -> Iterator[UserDefinedRoute]:
    table = _referenced(store, subnet.properties, "routeTable")
    for route in store.children(table.id, "routes") if table else []:
        given = route.properties
        yield _route(given["addressPrefix"], given["nextHopType"], given.get("nextHopIpAddress"))


@lru_cache(maxsize=65536)  # tables of many regions say the same, and are read at every change
def _route(prefix: str, next_hop: NextHop, address: str | None) -> UserDefinedRoute:
    return UserDefinedRoute(IPv4Network(prefix), next_hop, IPv4Address(address) if address else None)


def _peering(half: Resource) -> Peering:
    return Peering(
        remote_network=half.properties["remoteVirtualNetwork"]["id"].lower(),
        allow_access=half.properties["allowVirtualNetworkAccess"],
        allow_forwarded=half.properties["allowForwardedTraffic"],
    )


def _interface(store: Store, interface: Resource) -> NetworkInterface:
    configuration = interface.properties["ipConfigurations"][0]["properties"]
    machine = _machine(store, interface)
    return NetworkInterface(
        id=interface.id.key,
        subnet=configuration["subnet"]["id"].lower(),
        address=IPv4Address(configuration["privateIPAddress"]),
        machine=machine_key(machine.id) if machine else None,
        public_address=_public_address(store, configuration),
        ip_forwarding=interface.properties["enableIPForwarding"],
        security_group=_security_group(store, interface.properties),
        hostname=machine.properties["osProfile"]["computerName"] if machine else None,
    )


def _machine(store: Store, interface: Resource) -> Resource | None:
    return next(iter(store.referrers(interface.id, "Microsoft.Compute/virtualMachines")), None)


def _public_address(store: Store, configuration: Json) -> IPv4Address | None:
    found = _referenced(store, configuration, "publicIPAddress")
    return IPv4Address(found.properties["ipAddress"]) if found else None


def _security_group(store: Store, properties: Json) -> SecurityGroup | None:
    found = _referenced(store, properties, "networkSecurityGroup")
    return SecurityGroup(tuple(_rules(store, found))) if found else None


def _referenced(store: Store, properties: Json, key: str) -> Resource | None:
    return store.find((properties.get(key) or {}).get("id", ""))


def _rules(store: Store, group: Resource) -> Iterator[SecurityRule]:
    for rule in store.children(group.id, "securityRules"):
        yield _rule(rule.id.name, rule.properties)
    for name, properties in default_rules().items():
        yield _rule(name, properties)


def _rule(name: str, properties: Json) -> SecurityRule:
    values = [field_values(properties, single, several) for single, several in FIELDS]
    return SecurityRule(
        name=name,
        direction=properties["direction"],
        priority=properties["priority"],
        access=properties["access"],
        protocol=properties["protocol"],
        source_prefixes=values[0],
        destination_prefixes=values[1],
        source_ports=values[2],
        destination_ports=values[3],
    )
