"""Virtual network peerings: one resource per direction; both make a connection.

| this half, the other one: | absent | Initiated | Disconnected |
|---|---|---|---|
| PUT | Initiated | both Connected | refused: RemotePeeringIsDisconnected |
| DELETE | | gone | gone |

Deleting one half of a connection leaves the other Disconnected; a PUT makes that one Initiated again.
"""

from dataclasses import replace
from ipaddress import IPv4Network

from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError, not_emulated
from sandbox.arm.ids import parse
from sandbox.arm.operations import Work
from sandbox.arm.resource_type import ResourceType, reference, referenced
from sandbox.arm.resources.in_progress import check_idle
from sandbox.arm.shapes import REFERENCE
from sandbox.arm.store import Json, Resource, new_etag

NAME = "Microsoft.Network/virtualNetworks/virtualNetworkPeerings"
DEFAULTS = {
    "allowVirtualNetworkAccess": True,
    "allowForwardedTraffic": False,
    "allowGatewayTransit": False,
    "useRemoteGateways": False,
    "doNotVerifyRemoteGateways": False,
    "peerCompleteVnets": True,
}


def check(cloud: Cloud, wanted: Resource, present: Resource | None) -> None:
    """Refuse what cannot be peered; the state follows from the other half.

    Source: RemotePeeringIsDisconnected in hashicorp/terraform#18091,
    VnetAddressSpaceOverlapsWithAlreadyPeeredVnet in Azure/ResourceModules#731.
    """
    for name in ("useRemoteGateways", "allowGatewayTransit"):
        if wanted.properties.get(name):
            raise not_emulated(f"gateways: {name} of a peering")
    if wanted.properties.get("peerCompleteVnets") is False:
        raise not_emulated("peerings of single subnets")
    local, remote = cloud.store.get(wanted.id.owner), _remote(cloud, wanted)
    check_idle(cloud, local.id, wanted.operation)
    check_idle(cloud, remote.id, wanted.operation)
    _check_single(cloud, wanted, remote)
    _check_overlap(cloud, wanted, local, remote)
    other = other_half(cloud, wanted)
    if other and other.hidden["state"] == "Disconnected":
        message = (
            f"Cannot create or update peering {wanted.id} because remote peering {other.id} referencing "
            f"parent virtual network {local.id} is in Disconnected state. Update or re-create the remote "
            "peering to get it back to Initiated state. Peering gets Disconnected when remote vnet or "
            "remote peering is deleted and re-created."
        )
        raise ArmError(400, "RemotePeeringIsDisconnected", message)
    for name, value in DEFAULTS.items():
        wanted.properties.setdefault(name, value)
    wanted.hidden["state"] = "Connected" if other else "Initiated"
    if other:
        _become(cloud, other, "Connected")


def show(cloud: Cloud, peering: Resource) -> Json:
    """The state, and what the other network's address space is."""
    state = peering.hidden["state"]
    remote = cloud.store.find(reference(peering.properties, "remoteVirtualNetwork") or "")
    shown: Json = {
        "peeringState": state,
        "peeringSyncLevel": "FullyInSync" if state == "Connected" else "RemoteNotInSync",
        "resourceGuid": peering.guid,
    }
    if remote:
        shown["remoteAddressSpace"] = remote.properties["addressSpace"]
        shown["remoteVirtualNetworkAddressSpace"] = remote.properties["addressSpace"]
    return shown


def check_delete(cloud: Cloud, peering: Resource) -> None:
    """Wait for one's turn on both networks."""
    check_idle(cloud, peering.id, None)
    remote = parse(reference(peering.properties, "remoteVirtualNetwork") or "")
    if remote:
        check_idle(cloud, remote, None)


def end(cloud: Cloud, peering: Resource) -> Work | None:
    """Remove this half; the other one is disconnected."""
    other = other_half(cloud, peering)
    cloud.store.remove(peering.id)
    cloud.store.touch(peering.id.owner)
    if other:
        disconnect(cloud, other)
    return None


def disconnect(cloud: Cloud, peering: Resource) -> None:
    """The other half, or its network, is gone."""
    if cloud.store.find(peering.id) and peering.hidden["state"] == "Connected":
        _become(cloud, peering, "Disconnected")


def other_half(cloud: Cloud, peering: Resource) -> Resource | None:
    """The peering in the other direction, if there is one."""
    remote = (reference(peering.properties, "remoteVirtualNetwork") or "").lower()
    found = cloud.store.referrers(peering.id.owner, NAME)
    return next((one for one in found if one.id.owner.key == remote), None)


def _become(cloud: Cloud, peering: Resource, state: str) -> None:
    cloud.store.put(replace(peering, hidden={**peering.hidden, "state": state}, etag=new_etag()))
    cloud.store.touch(peering.id.owner)


def _remote(cloud: Cloud, wanted: Resource) -> Resource:
    """The network at the other end; that it exists was checked with all references."""
    remote = referenced(cloud, wanted, wanted.properties, "remoteVirtualNetwork", "Network/virtualNetworks")
    if remote is None:
        message = f"Peering {wanted.id} must reference a remote virtual network."
        raise ArmError(400, "InvalidRequestFormat", message)
    if remote.id.key == wanted.id.owner.key:
        message = f"Peering {wanted.id} cannot reference its own virtual network."
        raise ArmError(400, "CannotPeerVnetWithItself", message)
    return remote


def _check_single(cloud: Cloud, wanted: Resource, remote: Resource) -> None:
    for other in cloud.store.children(wanted.id.owner, "virtualNetworkPeerings"):
        target = (reference(other.properties, "remoteVirtualNetwork") or "").lower()
        same = other.id.key == wanted.id.key
        if same and target != remote.id.key:
            message = f"Cannot change the remote virtual network of peering {wanted.id}."
            raise ArmError(400, "ChangingRemoteVirtualNetworkNotAllowed", message)
        if not same and target == remote.id.key:
            message = f"Peering {other.id} already references remote virtual network {remote.id}."
            raise ArmError(400, "AnotherPeeringAlreadyReferencesRemoteVnet", message)


def _check_overlap(cloud: Cloud, wanted: Resource, local: Resource, remote: Resource) -> None:
    common = _overlap(local, remote)
    if common:
        message = (
            f"Cannot create or update peering {wanted.id}. Virtual networks {local.id} and {remote.id} "
            f"cannot be peered because their address spaces overlap. Overlapping address prefixes: {common}"
        )
        raise ArmError(400, "VnetAddressSpacesOverlap", message)
    for other in cloud.store.children(local.id, "virtualNetworkPeerings"):
        peer = cloud.store.find(reference(other.properties, "remoteVirtualNetwork") or "")
        common = _overlap(peer, remote) if peer and peer.id.key != remote.id.key else ""
        if peer and common:
            message = (
                f"Cannot create or update peering {wanted.id}. Virtual networks {local.id} and {remote.id} "
                "cannot be peered because address space of the second virtual network overlaps with "
                f"address space of virtual network {peer.id} already peered with the first virtual "
                f"network. Overlapping address prefixes: {common}"
            )
            raise ArmError(400, "VnetAddressSpaceOverlapsWithAlreadyPeeredVnet", message)


def _overlap(one: Resource, other: Resource) -> str:
    spaces = [network.properties["addressSpace"]["addressPrefixes"] for network in (one, other)]
    mine, theirs = ([IPv4Network(text) for text in space] for space in spaces)
    return ", ".join(f"{a}, {b}" for a in mine for b in theirs if a.overlaps(b))


TYPE = ResourceType(
    NAME,
    write_s=10,
    delete_s=10,
    shape={"remoteVirtualNetwork": REFERENCE, **dict.fromkeys(DEFAULTS, bool)},
    read_only=(
        "peeringState",
        "peeringSyncLevel",
        "remoteAddressSpace",
        "remoteVirtualNetworkAddressSpace",
        "remoteBgpCommunities",
    ),
    any_region=True,
    waits=False,
    check=check,
    show=show,
    check_delete=check_delete,
    end=end,
)
