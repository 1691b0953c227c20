"""The effective routes of a network interface: what `az network nic show-effective-route-table` shows."""

from sandbox.arm import fabric, responses
from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError
from sandbox.arm.resource_type import Answer, Call, reference
from sandbox.arm.resources.machine_power import power_now
from sandbox.arm.store import Json, Resource
from sandbox.fabric.layout import connected_peers, home
from sandbox.fabric.routes import EffectiveRoute, effective


def show_table(cloud: Cloud, interface: Resource, call: Call) -> Answer:
    """Tell them to who polls. Azure knows them only while a machine runs; the code is believed."""
    machines = cloud.store.referrers(interface.id, "Microsoft.Compute/virtualMachines")
    if not any(power_now(cloud, machine) == "running" for machine in machines):
        message = f"Network interface {interface.id} is not attached to a running virtual machine."
        raise ArmError(400, "NetworkInterfaceNotAttachedToRunningVm", message)
    operation = cloud.operations.start(
        location=interface.location or "global", namespace="Microsoft.Network", shows="Updating", seconds=3
    )
    operation.result = {"value": list(_shown(cloud, interface))}
    return responses.accepted(cloud, call, operation)


def _shown(cloud: Cloud, interface: Resource) -> list[Json]:
    described = fabric.describe(cloud.store, cloud.faults)
    (plugged,) = [one for one in described.interfaces if one.id == interface.id.key]
    network, subnet = home(plugged, described)
    peers = list(connected_peers(network, described))
    far = {
        prefix
        for peer in peers
        if cloud.store.get(peer.id).location != interface.location
        for prefix in peer.prefixes
    }
    table = cloud.store.find(reference(cloud.store.get(subnet.id).properties, "routeTable") or "")
    routes = cloud.store.children(table.id, "routes") if table else []
    names = {route.properties["addressPrefix"]: route.id.name for route in routes}
    return [
        _one(route, names.get(str(route.prefix)), is_far=route.prefix in far)
        for route in effective(network, peers, subnet)
    ]


def _one(route: EffectiveRoute, name: str | None, *, is_far: bool) -> Json:
    """One route. A peering with another region has a type of its own, which no route can be given."""
    is_global = is_far and route.next_hop == "VNetPeering"
    return {
        "source": "User" if route.is_users else "Default",
        "state": "Active" if route.is_active else "Invalid",
        "addressPrefix": [str(route.prefix)],
        "nextHopType": "VNetGlobalPeering" if is_global else route.next_hop,
        "nextHopIpAddress": [str(route.address)] if route.address else [],
        **({"name": name} if route.is_users else {}),
    }
