"""Virtual networks: address space, subnets, and the peerings that hang on them."""

from ipaddress import IPv4Network
from itertools import combinations

from sandbox.arm.addresses import check_networks
from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError, not_emulated
from sandbox.arm.operations import Work
from sandbox.arm.resource_type import ResourceType
from sandbox.arm.resources import peerings, subnets
from sandbox.arm.resources.in_progress import check_idle
from sandbox.arm.store import Json, Resource


def check(cloud: Cloud, wanted: Resource, present: Resource | None) -> None:
    """See that the address space is sound and still holds its subnets.

    A write without `subnets` deletes them; that is refused while one is in use.
    Source: facts/azure.md section 5.
    """
    check_idle(cloud, wanted.id, wanted.operation)
    if (wanted.properties.get("dhcpOptions") or {}).get("dnsServers"):
        raise not_emulated("DNS servers of a virtual network's own")
    given = (wanted.properties.get("addressSpace") or {}).get("addressPrefixes") or []
    if not given:
        message = f"Virtual network {wanted.id.name} has no address space."
        raise ArmError(400, "VnetAddressSpaceNotSpecified", message)
    spaces = check_networks(given, wanted.id)
    for one, other in combinations(spaces, 2):
        if one.overlaps(other):
            message = f"Address prefixes {one} and {other} of {wanted.id} overlap."
            raise ArmError(400, "VnetAddressPrefixesOverlap", message)
    if present and given != present.properties["addressSpace"]["addressPrefixes"]:
        _check_change(cloud, wanted, spaces)
    wanted.properties.setdefault("enableDdosProtection", False)
    wanted.properties.setdefault("privateEndpointVNetPolicies", "Disabled")


def show(cloud: Cloud, network: Resource) -> Json:
    """Its GUID; the subnets and peerings come by themselves."""
    return {"resourceGuid": network.guid}


def check_delete(cloud: Cloud, network: Resource) -> None:
    """Refuse while an interface has an address in one of its subnets."""
    check_idle(cloud, network.id, None)
    for subnet in cloud.store.children(network.id, "subnets"):
        subnets.check_delete(cloud, subnet)


def end(cloud: Cloud, network: Resource) -> Work | None:
    """Let it go; whoever was peered with it is disconnected."""
    for peering in cloud.store.children(network.id, "virtualNetworkPeerings"):
        peerings.end(cloud, peering)
    for peering in cloud.store.referrers(network.id, peerings.TYPE.name):
        peerings.disconnect(cloud, peering)
    for subnet in cloud.store.children(network.id, "subnets"):
        cloud.store.remove(subnet.id)
    cloud.store.remove(network.id)
    return None


def _check_change(cloud: Cloud, wanted: Resource, spaces: list[IPv4Network]) -> None:
    """Refuse a new address space that peers would have to be told of."""
    if cloud.store.children(wanted.id, "virtualNetworkPeerings"):
        raise not_emulated("changing the address space of a peered virtual network, and its resync")


TYPE = ResourceType(
    "Microsoft.Network/virtualNetworks",
    write_s=5,
    delete_s=10,
    shape={"addressSpace": {"addressPrefixes": [str]}, "dhcpOptions": {"dnsServers": [str]}},
    read_only=("flowLogs",),
    children={"subnets": subnets.TYPE, "virtualNetworkPeerings": peerings.TYPE},
    # Source: Azure/arm-template-whatif#163: a template without peerings leaves them alone.
    kept_children=("virtualNetworkPeerings",),
    check=check,
    show=show,
    check_delete=check_delete,
    end=end,
)
