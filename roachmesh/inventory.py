"""Everything that a plan makes in Azure: each resource's place and its body, in the wire's own words.

What a body says is what a deployment compares with and writes; fields it leaves out are Azure's.
"""

import base64
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from pydantic import Field

from roachmesh import names, security_rules
from roachmesh.plan import Node, Plan, RegionPlan
from roachmesh.topology import Model

Body = dict[str, Any]

RESOURCE_GROUP = "Microsoft.Resources/resourceGroups"
SECURITY_GROUP = "Microsoft.Network/networkSecurityGroups"
ROUTE_TABLE = "Microsoft.Network/routeTables"
VIRTUAL_NETWORK = "Microsoft.Network/virtualNetworks"
PEERING = "Microsoft.Network/virtualNetworks/virtualNetworkPeerings"
PUBLIC_ADDRESS = "Microsoft.Network/publicIPAddresses"
INTERFACE = "Microsoft.Network/networkInterfaces"
AVAILABILITY_SET = "Microsoft.Compute/availabilitySets"
DISK = "Microsoft.Compute/disks"
VIRTUAL_MACHINE = "Microsoft.Compute/virtualMachines"

# What people call these types.
LABELS = {
    RESOURCE_GROUP: "resource group",
    SECURITY_GROUP: "NSG",
    ROUTE_TABLE: "route table",
    VIRTUAL_NETWORK: "VNet",
    PEERING: "peering",
    PUBLIC_ADDRESS: "public IP",
    INTERFACE: "NIC",
    AVAILABILITY_SET: "availability set",
    DISK: "data disk",
    VIRTUAL_MACHINE: "VM",
}

# Stands for the address that a first deployment will come from, while nobody knows it.
UNKNOWN_OPERATORS = (IPv4Network("0.0.0.0/32"),)


class Resource(Model):
    """One resource as the plan wants it.

    Attributes:
        type: Azure's name of its type.
        id: Its resource id.
        path: What finds it: the resource group's name, then its parent's, if any, then its own.
        region: The region it stands in; None for the group.
        details: What a reader of the plan looks for in its body.
        body: What it must say.
        when_well: What Azure adds to that while nothing is wrong with it; nobody can write this.
        keep: Properties that are lists in which items of others, by name, may stay.
    """

    type: str
    id: str
    path: tuple[str, ...]
    region: str | None
    details: str
    body: Body
    when_well: Body = Field(default_factory=dict)
    keep: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What people call it: "NSG nsg-eastus"."""
        return f"{LABELS[self.type]} {'/'.join(self.path[1:] or self.path)}"


class PodRoute(Model):
    """Where the pods of a k3s node are: Kubernetes chose the range, so only it can be asked."""

    node: str
    pods: IPv4Network
    address: IPv4Address


class Inventory(Model):
    """What a plan makes in a subscription.

    Attributes:
        operators: Where SSH may come from.
        ssh_key_fingerprint: Names the key that opens the machines; None while there is none.
        pod_routes: Those of all clusters; None while nobody has asked them.
    """

    plan: Plan
    subscription_id: str
    operators: tuple[IPv4Network, ...]
    ssh_key_fingerprint: str | None = None
    pod_routes: tuple[PodRoute, ...] | None = None

    def everything(self) -> Iterator[Resource]:
        """Give all resources, each after those that it refers to."""
        yield self.resource_group()
        for region in self.plan.regions:
            yield from self._region(region)
        for left, right in self.plan.peerings:
            yield self.peering(left, right)
            yield self.peering(right, left)

    def networking(self) -> Iterator[Resource]:
        """Give those of them that decide whether nodes reach each other."""
        silent = (RESOURCE_GROUP, AVAILABILITY_SET, DISK)
        return (resource for resource in self.everything() if resource.type not in silent)

    def resource_group(self) -> Resource:
        """Describe the resource group; it remembers where SSH may come from, and who has the key to it."""
        tags = {**self._tags, names.TAG_OPERATOR: ",".join(map(str, self.operators))}
        if self.ssh_key_fingerprint:
            tags[names.TAG_SSH_KEY] = self.ssh_key_fingerprint
        return Resource(
            type=RESOURCE_GROUP,
            id=self._group_id,
            path=(self.plan.resource_group,),
            region=None,
            details=self.plan.location,
            body={"location": self.plan.location, "tags": tags},
        )

    def security_group(self, region: RegionPlan) -> Resource:
        """Describe a region's network security group with all of our rules."""
        mesh = self.plan.mesh
        services = security_rules.Services(self.plan.service_ports(region), self.plan.access.nodeport_cidrs)
        if region.cluster:
            clusters = [range_ for one in self.plan.clusters for range_ in one.ranges]
            pods = region.cluster.pods
            rules = security_rules.k3s_region(region.subnet, pods, mesh, clusters, self.operators, services)
        else:
            rules = security_rules.vm_region(region.subnet, mesh, self.operators, services)
        properties = {"securityRules": [security_rules.as_azure(rule) for rule in rules]}
        details = ", ".join(rule.name for rule in rules)
        return self._make(SECURITY_GROUP, names.security_group(region.name), region, details, properties)

    def route_table(self, region: RegionPlan) -> Resource:
        """Describe a region's route table: a way to the pods of every k3s node, in every region the same.

        Azure's own routes lead to addresses of virtual networks only. While the pods' ranges are not
        known, whatever routes there are may stay.
        """
        routes = [
            {
                "name": names.pod_route(route.node),
                "properties": {
                    "addressPrefix": str(route.pods),
                    "nextHopType": "VirtualAppliance",
                    "nextHopIpAddress": str(route.address),
                },
            }
            for route in self.pod_routes or ()
        ]
        count = sum(len(cluster.nodes) for cluster in self.plan.clusters)
        return self._make(
            ROUTE_TABLE,
            names.route_table(region.name),
            region,
            f"{count} routes, to the pods of each k3s node" if count else "no routes",
            {"routes": routes},
            keep=("routes",) if count and self.pod_routes is None else (),
        )

    def virtual_network(self, region: RegionPlan) -> Resource:
        """Describe a region's network; its subnet gives no default way out, so nodes have public addresses.

        Subnets and peerings of others may stay in it.
        """
        subnet = {
            "name": names.SUBNET,
            "properties": {
                "addressPrefix": str(region.subnet),
                "networkSecurityGroup": {"id": self._id(SECURITY_GROUP, names.security_group(region.name))},
                "routeTable": {"id": self._id(ROUTE_TABLE, names.route_table(region.name))},
                "defaultOutboundAccess": False,
            },
        }
        properties = {"addressSpace": {"addressPrefixes": [str(region.vnet)]}, "subnets": [subnet]}
        return self._make(
            VIRTUAL_NETWORK,
            names.virtual_network(region.name),
            region,
            f"{region.vnet}, nodes in {region.subnet}",
            properties,
            keep=("subnets", "virtualNetworkPeerings"),
        )

    def availability_set(self, region: RegionPlan) -> Resource | None:
        """Describe the availability set of a region without zones; None where there are zones."""
        if region.zones:
            return None
        properties = {"platformFaultDomainCount": 2, "platformUpdateDomainCount": 5}
        name = names.availability_set(region.name)
        details = "2 fault domains, 5 update domains"
        return self._make(AVAILABILITY_SET, name, region, details, properties, sku={"name": "Aligned"})

    def public_address(self, region: RegionPlan, node: Node) -> Resource:
        """Describe a node's public address."""
        properties = {"publicIPAllocationMethod": "Static", "publicIPAddressVersion": "IPv4"}
        name = names.public_address(node.name)
        return self._make(
            PUBLIC_ADDRESS, name, region, "Standard, static IPv4", properties, sku={"name": "Standard"}
        )

    def interface(self, region: RegionPlan, node: Node) -> Resource:
        """Describe a node's network interface, at the address that the plan fixes.

        It has no security group of its own: the subnet's holds for every node.
        """
        configuration = {
            "name": "primary",
            "properties": {
                "primary": True,
                "privateIPAllocationMethod": "Static",
                "privateIPAddress": str(node.address),
                "subnet": {"id": f"{self.network_id(region)}/subnets/{names.SUBNET}"},
                "publicIPAddress": {"id": self._id(PUBLIC_ADDRESS, names.public_address(node.name))},
            },
        }
        details = f"{node.address}, forwarding" if region.cluster else str(node.address)
        properties = {
            "ipConfigurations": [configuration],
            "networkSecurityGroup": None,
            "enableIPForwarding": region.cluster is not None,  # a k3s node forwards its pods' packets
            "enableAcceleratedNetworking": True,
        }
        return self._make(INTERFACE, names.interface(node.name), region, details, properties)

    def data_disk(self, region: RegionPlan, node: Node) -> Resource:
        """Describe the disk that holds a node's store."""
        properties = {"creationData": {"createOption": "Empty"}, "diskSizeGB": region.data_disk_gib}
        name = names.data_disk(node.name)
        details = f"{region.data_disk_gib} GiB Premium SSD"
        sku = {"name": "Premium_LRS"}
        return self._make(DISK, name, region, details, properties, sku=sku, **_zones(node))

    def virtual_machine(self, region: RegionPlan, node: Node) -> Resource:
        """Describe a node's machine as far as it can be read back; `provisioning` holds the rest."""
        data_disk = names.data_disk(node.name)
        interface = self._id(INTERFACE, names.interface(node.name))
        properties: Body = {
            "hardwareProfile": {"vmSize": region.size},
            "storageProfile": {
                "imageReference": self.plan.image.model_dump(),
                "osDisk": {
                    "name": names.os_disk(node.name),
                    "createOption": "FromImage",
                    "deleteOption": "Delete",
                    "diskSizeGB": region.os_disk_gib,
                    "managedDisk": {"storageAccountType": "Premium_LRS"},
                },
                "dataDisks": [
                    {
                        "lun": 0,
                        "name": data_disk,
                        "createOption": "Attach",
                        "managedDisk": {"id": self._id(DISK, data_disk)},
                    }
                ],
            },
            "networkProfile": {"networkInterfaces": [{"id": interface}]},
        }
        if not region.zones:
            name = names.availability_set(region.name)
            properties["availabilitySet"] = {"id": self._id(AVAILABILITY_SET, name)}
        place = f"zone {node.zone}" if node.zone else "no zone"
        details = f"{region.size}, {place}, system disk {region.os_disk_gib} GiB Premium SSD"
        return self._make(VIRTUAL_MACHINE, node.name, region, details, properties, **_zones(node))

    def peering(self, here: RegionPlan, there: RegionPlan) -> Resource:
        """Describe the half of a peering that stands in `here`; both halves say the same."""
        name = names.peering(there.name)
        properties = {
            "remoteVirtualNetwork": {"id": self.network_id(there)},
            "allowVirtualNetworkAccess": True,
            "allowForwardedTraffic": True,
            "allowGatewayTransit": False,
            "useRemoteGateways": False,
        }
        return Resource(
            type=PEERING,
            id=f"{self.network_id(here)}/virtualNetworkPeerings/{name}",
            path=(self.plan.resource_group, names.virtual_network(here.name), name),
            region=here.name,
            details=f"with {there.vnet}",
            body={"properties": properties},
            when_well={"properties": {"peeringState": "Connected"}},
        )

    def network_id(self, region: RegionPlan) -> str:
        """Give the resource id of a region's network."""
        return self._id(VIRTUAL_NETWORK, names.virtual_network(region.name))

    def _region(self, region: RegionPlan) -> Iterator[Resource]:
        yield self.security_group(region)
        yield self.route_table(region)
        yield self.virtual_network(region)
        availability_set = self.availability_set(region)
        if availability_set:
            yield availability_set
        for node in region.nodes:
            yield self.public_address(region, node)
            yield self.interface(region, node)
            yield self.data_disk(region, node)
            yield self.virtual_machine(region, node)

    def _make(
        self,
        kind: str,
        name: str,
        region: RegionPlan,
        details: str,
        properties: Body,
        *,
        keep: tuple[str, ...] = (),
        **beside: Any,
    ) -> Resource:
        return Resource(
            type=kind,
            id=self._id(kind, name),
            path=(self.plan.resource_group, name),
            region=region.name,
            details=details,
            body={"location": region.location, "tags": self._tags, "properties": properties, **beside},
            keep=keep,
        )

    def _id(self, kind: str, name: str) -> str:
        return f"{self._group_id}/providers/{kind}/{name}"

    @property
    def _group_id(self) -> str:
        return f"/subscriptions/{self.subscription_id}/resourceGroups/{self.plan.resource_group}"

    @property
    def _tags(self) -> dict[str, str]:
        expires = {names.TAG_EXPIRES: self.plan.expires} if self.plan.expires else {}
        return {names.TAG_TOPOLOGY: self.plan.topology, **expires}


def provisioning(node: Node, public_key: str, custom_data: str) -> Body:
    """Describe a machine's first boot: what its PUT says once and Azure never lets change."""
    authorized = {"path": f"/home/{names.ADMIN_USER}/.ssh/authorized_keys", "keyData": public_key}
    return {
        "computerName": node.name,
        "adminUsername": names.ADMIN_USER,
        "customData": base64.b64encode(custom_data.encode()).decode(),
        "linuxConfiguration": {
            "disablePasswordAuthentication": True,
            "ssh": {"publicKeys": [authorized]},
        },
    }


def _zones(node: Node) -> Body:
    return {"zones": [node.zone]} if node.zone else {}
