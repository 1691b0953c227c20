"""The plan: a topology with everything derived and checked, which the deployment follows."""

from ipaddress import IPv4Address, IPv4Network
from itertools import combinations
from typing import Literal

from roachmesh import addressing, locations, names
from roachmesh.topology import Access, CockroachDB, Image, Model, Region, Time, Topology

JOIN_NODES_PER_REGION = 2


class Node(Model):
    """One machine that runs a database node; `number` counts from 1 within its region."""

    name: str
    region: str
    number: int
    address: IPv4Address
    zone: str | None

    @property
    def locality(self) -> str:
        """The database's locality, always with both tiers, also where Azure has no zones."""
        return f"region={self.region},zone={self.region}-{self.zone or self.number}"


class RegionPlan(Model):
    """One region with everything derived."""

    platform: Literal["vm"]
    name: str
    location: str
    vnet: IPv4Network
    subnet: IPv4Network
    zones: tuple[str, ...]
    size: str
    os_disk_gib: int
    data_disk_gib: int
    nodes: tuple[Node, ...]


class Plan(Model):
    """Everything that will exist; `regions` keep the topology's order."""

    topology: str
    resource_group: str
    location: str
    regions: tuple[RegionPlan, ...]
    access: Access
    time: Time
    cockroachdb: CockroachDB
    image: Image

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, region by region."""
        return tuple(node for region in self.regions for node in region.nodes)

    @property
    def first_node(self) -> Node:
        """The node that `cockroach init` is sent to, always the same one."""
        return self.regions[0].nodes[0]

    def region_of(self, node: Node) -> RegionPlan:
        """Give the region that a node stands in."""
        return next(region for region in self.regions if region.name == node.region)

    @property
    def join(self) -> tuple[IPv4Address, ...]:
        """The addresses that every node is told to join, identical everywhere."""
        return tuple(node.address for region in self.regions for node in region.nodes[:JOIN_NODES_PER_REGION])

    @property
    def subnets(self) -> tuple[IPv4Network, ...]:
        """The address ranges of all nodes: what rules call the mesh."""
        return tuple(region.subnet for region in self.regions)

    @property
    def peerings(self) -> tuple[tuple[RegionPlan, RegionPlan], ...]:
        """Every unordered pair of regions."""
        return tuple(combinations(self.regions, 2))


def make_plan(topology: Topology) -> Plan:
    """Derive what the topology leaves out."""
    vnets = addressing.derive_vnets(region.vnet for region in topology.regions)
    subnets = [
        region.subnet or addressing.derive_subnet(vnet)
        for region, vnet in zip(topology.regions, vnets, strict=True)
    ]
    regions = tuple(map(_plan_region, topology.regions, vnets, subnets))
    return Plan(
        topology=topology.name,
        resource_group=names.resource_group(topology.name),
        location=regions[0].location,
        regions=regions,
        access=topology.access,
        time=topology.time,
        cockroachdb=topology.cockroachdb,
        image=topology.image,
    )


def _plan_region(region: Region, vnet: IPv4Network, subnet: IPv4Network) -> RegionPlan:
    location = region.location or region.name
    zones = locations.zones(location) if region.zones is None else region.zones
    nodes = tuple(
        Node(
            name=names.node(region.name, number),
            region=region.name,
            number=number,
            address=addressing.node_address(subnet, number),
            zone=zones[(number - 1) % len(zones)] if zones else None,
        )
        for number in range(1, region.nodes + 1)
    )
    return RegionPlan(
        platform=region.platform,
        name=region.name,
        location=location,
        vnet=vnet,
        subnet=subnet,
        zones=zones,
        size=region.size,
        os_disk_gib=region.os_disk_gib,
        data_disk_gib=region.data_disk_gib,
        nodes=nodes,
    )
