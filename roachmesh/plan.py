"""The plan: a topology with everything derived and checked, which the deployment follows."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations
from typing import Literal

from roachmesh import addressing, locations, names, sizes
from roachmesh.addressing import Kind
from roachmesh.refusals import MIN_REGIONS_TO_SURVIVE_ONE
from roachmesh.security_rules import APPLICATION_NODE_PORT, POOLER_NODE_PORT, POOLER_PORT, SQL_PORT
from roachmesh.topology import (
    Access,
    Application,
    Cilium,
    CockroachDB,
    Database,
    Image,
    K3s,
    Model,
    Region,
    Time,
    Topology,
    User,
    ranges_of,
)

JOIN_MEMBERS_PER_REGION = 2
ETCD_MEMBERS = 3  # survive the loss of one; more are slower
POOLER_PODS = 2
# More would wait for each other. Source: "Connection Pooling", CockroachDB documentation.
CONNECTIONS_PER_VCPU = 4

Role = Literal["vm", "server", "agent"]
Pooler = Literal["pgbouncer", "none"]


class Node(Model):
    """One machine; `number` counts from 1 within its region.

    Attributes:
        role: What it is in its region: a plain machine, a k3s server, or a k3s agent.
    """

    name: str
    region: str
    number: int
    role: Role
    address: IPv4Address
    zone: str | None

    @property
    def locality(self) -> str:
        """The database's locality, always with both tiers, also where Azure has no zones."""
        return f"region={self.region},zone={self.region}-{self.zone or self.number}"


class Member(Model):
    """One node of the database: a machine's service, or a pod.

    Attributes:
        name: What people call it: the machine's name, or the pod's behind its region's.
        host: What the others dial: an address, or a name that every region resolves.
    """

    name: str
    region: str
    host: str

    @property
    def address(self) -> str:
        """What it advertises, as `cockroach node status` shows it."""
        return f"{self.host}:{SQL_PORT}"


class Cluster(Model):
    """A region's k3s cluster.

    Attributes:
        pods: Every node gets a /24 of it, which one is Kubernetes' choice.
        id: Its number in the mesh.
    """

    pods: IPv4Network
    services: IPv4Network
    id: int

    @property
    def dns(self) -> IPv4Address:
        """The address of the cluster's DNS service."""
        return self.services[addressing.DNS_NUMBER]


class RegionPlan(Model):
    """One region with everything derived; `cluster` is None where nodes are plain machines."""

    name: str
    location: str
    vnet: IPv4Network
    subnet: IPv4Network
    zones: tuple[str, ...]
    size: str
    os_disk_gib: int
    data_disk_gib: int
    nodes: tuple[Node, ...]
    cluster: Cluster | None

    @property
    def servers(self) -> tuple[Node, ...]:
        """The nodes that are k3s servers, in the order in which they join."""
        return tuple(node for node in self.nodes if node.role == "server")

    @property
    def members(self) -> tuple[Member, ...]:
        """The region's nodes of the database, one for each machine."""
        if self.cluster is None:
            return tuple(
                Member(name=node.name, region=self.name, host=str(node.address)) for node in self.nodes
            )
        return tuple(
            Member(
                name=f"{self.name}/{names.pod(i)}",
                region=self.name,
                host=names.pod_host(self.name, names.pod(i)),
            )
            for i in range(len(self.nodes))
        )

    @property
    def ranges(self) -> tuple[IPv4Network, ...]:
        """Where packets of this region come from: its nodes, and its pods if it has any."""
        return (self.subnet, self.cluster.pods) if self.cluster else (self.subnet,)


class DatabasePlan(Model):
    """The application's database; `regions` are the localities of the nodes, in the topology's order."""

    name: str
    primary_region: str
    regions: tuple[str, ...]
    survival: Literal["zone", "region"]
    users: tuple[User, ...]

    @property
    def with_password(self) -> tuple[str, ...]:
        """The users that poolers let in: `verify`'s own, then the topology's."""
        return (names.VERIFY_USER, *(user.name for user in self.users if user.login == "password"))

    @property
    def application_user(self) -> str:
        """The user as whom the application logs in; a topology with an application has one."""
        return self.with_password[1]


class Plan(Model):
    """Everything that will exist; `regions` keep the topology's order.

    Attributes:
        expires: When all of it may be deleted, in UTC as Azure's tags have it; None for never.
    """

    topology: str
    resource_group: str
    location: str
    expires: str | None
    regions: tuple[RegionPlan, ...]
    access: Access
    time: Time
    cockroachdb: CockroachDB
    database: DatabasePlan
    pooler: Pooler
    application: Application
    k3s: K3s
    cilium: Cilium
    image: Image

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All machines, region by region."""
        return tuple(node for region in self.regions for node in region.nodes)

    @property
    def members(self) -> tuple[Member, ...]:
        """All nodes of the database; `cockroach init` is sent to the first, always the same one."""
        return tuple(member for region in self.regions for member in region.members)

    @property
    def clusters(self) -> tuple[RegionPlan, ...]:
        """The regions on k3s."""
        return tuple(region for region in self.regions if region.cluster)

    def peers_of(self, region: RegionPlan) -> tuple[RegionPlan, ...]:
        """The other regions on k3s."""
        return tuple(peer for peer in self.clusters if peer.name != region.name)

    def region_of(self, node: Node) -> RegionPlan:
        """Give the region that a node stands in."""
        return next(region for region in self.regions if region.name == node.region)

    @property
    def application_nodes(self) -> tuple[Node, ...]:
        """The plain machines that carry MovR, if it is the application: the first of each region."""
        return tuple(region.nodes[0] for region in self.regions if region.cluster is None)

    def pooler_port(self, region: RegionPlan) -> int:
        """Say where a region's pooler listens, on each of its machines."""
        return POOLER_NODE_PORT if region.cluster else POOLER_PORT

    def pooler_connections(self, region: RegionPlan) -> int:
        """Say how many connections to the database each pooler of a region may have, to share its vCPUs."""
        total = CONNECTIONS_PER_VCPU * sizes.read(region.size).vcpus * len(region.nodes)
        return total // (POOLER_PODS if region.cluster else len(region.nodes))

    def service_ports(self, region: RegionPlan) -> tuple[int, ...]:
        """Say at which ports of a region's machines clients find the pooler and the application."""
        ports = [self.pooler_port(region)] if self.pooler != "none" else []
        if self.application.kind == "image" and region.cluster:
            ports.append(APPLICATION_NODE_PORT)
        return tuple(ports)

    @property
    def join(self) -> tuple[str, ...]:
        """The addresses that every node of the database is told to join, identical everywhere."""
        return tuple(
            member.address for region in self.regions for member in region.members[:JOIN_MEMBERS_PER_REGION]
        )

    @property
    def mesh(self) -> tuple[IPv4Network, ...]:
        """The address ranges of all nodes and pods."""
        return tuple(range_ for region in self.regions for range_ in region.ranges)

    @property
    def peerings(self) -> tuple[tuple[RegionPlan, RegionPlan], ...]:
        """Every unordered pair of regions."""
        return tuple(combinations(self.regions, 2))


def make_plan(topology: Topology) -> Plan:
    """Derive what the topology leaves out."""
    given = {key: range_ for i, region in enumerate(topology.regions) for key, range_ in ranges_of(i, region)}
    ranges = addressing.derive(given)
    ids = _cluster_ids(topology.regions)
    regions = tuple(_plan_region(i, region, ranges, ids.get(i)) for i, region in enumerate(topology.regions))
    return Plan(
        topology=topology.name,
        resource_group=names.resource_group(topology.name),
        location=regions[0].location,
        expires=topology.expires,
        regions=regions,
        access=topology.access,
        time=topology.time,
        cockroachdb=topology.cockroachdb,
        database=_plan_database(topology.database, [region.name for region in regions]),
        pooler=topology.pooler,
        application=topology.application,
        k3s=topology.k3s,
        cilium=topology.cilium,
        image=topology.image,
    )


def _plan_database(database: Database, regions: Sequence[str]) -> DatabasePlan:
    most: Literal["region", "zone"] = "region" if len(regions) >= MIN_REGIONS_TO_SURVIVE_ONE else "zone"
    return DatabasePlan(
        name=database.name,
        primary_region=database.primary_region or regions[0],
        regions=tuple(regions),
        survival=most if database.survival == "auto" else database.survival,
        users=database.users,
    )


def _cluster_ids(regions: Sequence[Region]) -> dict[int, int]:
    """Give every k3s region, by its index, the id that it was given, or the first free one."""
    given = {i: region.cluster_id for i, region in enumerate(regions) if region.platform == "k3s"}
    free = (number for number in range(1, 256) if number not in given.values())
    return {i: number or next(free) for i, number in given.items()}


def _plan_region(
    index: int,
    region: Region,
    ranges: Mapping[tuple[int, Kind], IPv4Network],
    cluster_id: int | None,
) -> RegionPlan:
    location = region.location or region.name
    vnet = ranges[index, "vnet"]
    subnet = region.subnet or addressing.derive_subnet(vnet)
    zones = locations.zones(location) if region.zones is None else region.zones
    nodes = tuple(
        Node(
            name=names.node(region.name, number),
            region=region.name,
            number=number,
            role=_role(region, number),
            address=addressing.node_address(subnet, number),
            zone=zones[(number - 1) % len(zones)] if zones else None,
        )
        for number in range(1, region.nodes + 1)
    )
    return RegionPlan(
        name=region.name,
        location=location,
        vnet=vnet,
        subnet=subnet,
        zones=zones,
        size=region.size,
        os_disk_gib=region.os_disk_gib,
        data_disk_gib=region.data_disk_gib,
        nodes=nodes,
        cluster=Cluster(pods=ranges[index, "pods"], services=ranges[index, "services"], id=cluster_id)
        if cluster_id
        else None,
    )


def _role(region: Region, number: int) -> Role:
    """Say what a node is; the servers are the first ones."""
    if region.platform == "vm":
        return "vm"
    servers = region.servers or (ETCD_MEMBERS if region.nodes >= ETCD_MEMBERS else 1)
    return "server" if number <= servers else "agent"
