"""The bodies of Azure's resources, in the wire's own words, made from the plan and nothing else.

What a body says is what a deployment compares with and writes; fields it leaves out are Azure's.
"""

import base64
from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Any

from roachmesh import names, security_rules
from roachmesh.plan import Node, Plan, RegionPlan

Body = dict[str, Any]


def tags(plan: Plan) -> dict[str, str]:
    """Give the tags that make a resource ours."""
    return {names.TAG_TOPOLOGY: plan.topology}


def resource_group(plan: Plan, operators: Sequence[IPv4Network]) -> Body:
    """Describe the resource group; it remembers where SSH may come from."""
    operator = ",".join(map(str, operators))
    return {"location": plan.location, "tags": {**tags(plan), names.TAG_OPERATOR: operator}}


def security_group(plan: Plan, region: RegionPlan, operators: Sequence[IPv4Network]) -> Body:
    """Describe a region's network security group with all of our rules."""
    rules = security_rules.vm_region(region.subnet, plan.subnets, operators)
    return _resource(plan, region, {"securityRules": [security_rules.as_azure(rule) for rule in rules]})


def route_table(plan: Plan, region: RegionPlan) -> Body:
    """Describe a region's route table; plain machines need no routes of ours."""
    return _resource(plan, region, {"routes": []})


def virtual_network(plan: Plan, region: RegionPlan, security_group_id: str, route_table_id: str) -> Body:
    """Describe a region's network; its subnet gives no default way out, so nodes have public addresses."""
    subnet = {
        "name": names.SUBNET,
        "properties": {
            "addressPrefix": str(region.subnet),
            "networkSecurityGroup": {"id": security_group_id},
            "routeTable": {"id": route_table_id},
            "defaultOutboundAccess": False,
        },
    }
    return _resource(
        plan, region, {"addressSpace": {"addressPrefixes": [str(region.vnet)]}, "subnets": [subnet]}
    )


def availability_set(plan: Plan, region: RegionPlan) -> Body:
    """Describe the availability set of a region without zones."""
    properties = {"platformFaultDomainCount": 2, "platformUpdateDomainCount": 5}
    return {**_resource(plan, region, properties), "sku": {"name": "Aligned"}}


def public_address(plan: Plan, region: RegionPlan) -> Body:
    """Describe a node's public address."""
    body = _resource(plan, region, {"publicIPAllocationMethod": "Static", "publicIPAddressVersion": "IPv4"})
    return {**body, "sku": {"name": "Standard"}}


def interface(plan: Plan, region: RegionPlan, node: Node, subnet_id: str, public_address_id: str) -> Body:
    """Describe a node's network interface, at the address that the plan fixes."""
    configuration = {
        "name": "primary",
        "properties": {
            "primary": True,
            "privateIPAllocationMethod": "Static",
            "privateIPAddress": str(node.address),
            "subnet": {"id": subnet_id},
            "publicIPAddress": {"id": public_address_id},
        },
    }
    return _resource(
        plan,
        region,
        {
            "ipConfigurations": [configuration],
            "enableIPForwarding": False,
            "enableAcceleratedNetworking": True,
        },
    )


def data_disk(plan: Plan, region: RegionPlan, node: Node) -> Body:
    """Describe the disk that holds a node's store."""
    body = _resource(
        plan, region, {"creationData": {"createOption": "Empty"}, "diskSizeGB": region.data_disk_gib}
    )
    return {**body, **_zones(node), "sku": {"name": "Premium_LRS"}}


def virtual_machine(
    plan: Plan,
    region: RegionPlan,
    node: Node,
    *,
    interface_id: str,
    data_disk_id: str,
    availability_set_id: str | None,
) -> Body:
    """Describe a node's machine as far as it can be read back; `provisioning` holds the rest."""
    properties: Body = {
        "hardwareProfile": {"vmSize": region.size},
        "storageProfile": {
            "imageReference": plan.image.model_dump(),
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
                    "name": names.data_disk(node.name),
                    "createOption": "Attach",
                    "managedDisk": {"id": data_disk_id},
                }
            ],
        },
        "networkProfile": {"networkInterfaces": [{"id": interface_id}]},
    }
    if availability_set_id:
        properties["availabilitySet"] = {"id": availability_set_id}
    return {**_resource(plan, region, properties), **_zones(node)}


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


def peering(remote_network_id: str) -> Body:
    """Describe one half of a peering; both halves say the same."""
    return {
        "properties": {
            "remoteVirtualNetwork": {"id": remote_network_id},
            "allowVirtualNetworkAccess": True,
            "allowForwardedTraffic": True,
            "allowGatewayTransit": False,
            "useRemoteGateways": False,
        }
    }


def _resource(plan: Plan, region: RegionPlan, properties: Body) -> Body:
    return {"location": region.location, "tags": tags(plan), "properties": properties}


def _zones(node: Node) -> Body:
    return {"zones": [node.zone]} if node.zone else {}
