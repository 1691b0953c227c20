"""Subnets, the children of a virtual network."""

from ipaddress import IPv4Network

from sandbox.arm.addresses import check_networks, subnet_prefix
from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError, not_emulated
from sandbox.arm.resource_type import ResourceType, referenced
from sandbox.arm.resources.in_progress import check_idle
from sandbox.arm.shapes import REFERENCE
from sandbox.arm.store import Json, Resource

NOT_EMULATED = ("natGateway", "delegations", "serviceEndpoints", "serviceEndpointPolicies", "ipAllocations")


def check(cloud: Cloud, wanted: Resource, present: Resource | None) -> None:
    """See that the range is free and within the network.

    Source: NetcfgSubnetRangeOutsideVnet and NetcfgSubnetRangesOverlap in MicrosoftDocs/azure-docs#123869;
    the code for a range that is too small, and for a range in use that changes, are believed.
    """
    network = cloud.store.get(wanted.id.owner)
    check_idle(cloud, wanted.id, wanted.operation)
    for name in NOT_EMULATED:
        if wanted.properties.get(name):
            raise not_emulated(f"{name} of a subnet")
    referenced(cloud, wanted, wanted.properties, "networkSecurityGroup", "Network/networkSecurityGroups")
    referenced(cloud, wanted, wanted.properties, "routeTable", "Network/routeTables")
    prefix = _prefix(wanted)
    _check_place(cloud, wanted, network, prefix)
    if present and subnet_prefix(present) != prefix and cloud.store.referrers(wanted.id):
        raise _in_use(cloud, wanted, "InUsePrefixCannotBeDeleted")
    wanted.properties.setdefault("delegations", [])
    wanted.properties.setdefault("privateEndpointNetworkPolicies", "Disabled")
    wanted.properties.setdefault("privateLinkServiceNetworkPolicies", "Enabled")


def show(cloud: Cloud, subnet: Resource) -> Json:
    """The IP configurations in it."""
    users = cloud.store.referrers(subnet.id, "Microsoft.Network/networkInterfaces")
    found = [
        {"id": f"{user.id}/ipConfigurations/{configuration['name']}"}
        for user in users
        for configuration in user.properties["ipConfigurations"]
    ]
    return {"ipConfigurations": found} if found else {}


def check_delete(cloud: Cloud, subnet: Resource) -> None:
    """Refuse while an interface has an address in it."""
    check_idle(cloud, subnet.id, None)
    if cloud.store.referrers(subnet.id):
        raise _in_use(cloud, subnet, "InUseSubnetCannotBeDeleted")


def _prefix(wanted: Resource) -> IPv4Network:
    several = wanted.properties.get("addressPrefixes") or []
    if len(several) > 1:
        raise not_emulated("several address prefixes in one subnet")
    given = several or [wanted.properties.get("addressPrefix")]
    (prefix,) = check_networks([str(given[0])], wanted.id)
    if prefix.prefixlen > 29:
        raise ArmError(
            400, "NetcfgInvalidSubnet", f"Subnet '{wanted.id.name}' is too small: /29 is the least."
        )
    return prefix


def _check_place(cloud: Cloud, wanted: Resource, network: Resource, prefix: IPv4Network) -> None:
    spaces = [IPv4Network(text) for text in network.properties["addressSpace"]["addressPrefixes"]]
    name, vnet = wanted.id.name, network.id.name
    if not any(prefix.subnet_of(space) for space in spaces):
        message = (
            f"Subnet '{name}' is not valid because its IP address range is outside the IP address range of "
            f"virtual network '{vnet}'."
        )
        raise ArmError(400, "NetcfgSubnetRangeOutsideVnet", message)
    for other in cloud.store.children(network.id, "subnets"):
        if other.id.key != wanted.id.key and prefix.overlaps(subnet_prefix(other)):
            message = (
                f"Subnet '{name}' is not valid because its IP address range overlaps with that of an "
                f"existing subnet in virtual network '{vnet}'."
            )
            raise ArmError(400, "NetcfgSubnetRangesOverlap", message)


def _in_use(cloud: Cloud, subnet: Resource, code: str) -> ArmError:
    users = ", ".join(item["id"] for item in show(cloud, subnet)["ipConfigurations"])
    message = (
        f"Subnet {subnet.id.name} is in use by {users} and cannot be deleted. In order to delete the subnet, "
        "delete all the resources within the subnet. See aka.ms/deletesubnet."
    )
    return ArmError(400, code, message)


TYPE = ResourceType(
    "Microsoft.Network/virtualNetworks/subnets",
    write_s=4,
    delete_s=10,
    shape={
        "addressPrefix": str,
        "addressPrefixes": [str],
        "networkSecurityGroup": REFERENCE,
        "routeTable": REFERENCE,
    },
    read_only=("ipConfigurations", "ipConfigurationProfiles", "privateEndpoints", "purpose"),
    check=check,
    show=show,
    check_delete=check_delete,
)
