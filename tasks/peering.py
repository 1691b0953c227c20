"""Peerings between virtual networks."""

import threading
from collections import defaultdict
from contextlib import ExitStack

from roachmesh import names
from roachmesh.plan import RegionPlan
from roachmesh.render import azure
from tasks.azure_errors import azure_errors
from tasks.azure_resource import Ensured, ensure, finish, read
from tasks.deployment import Deployment
from tasks.engine import converging
from tasks.wait import wait_until

CONNECT_TIMEOUT_S = 120.0

# Azure refuses two writes to one virtual network at a time; both ends of a peering are written.
_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


@converging("peering {left.name} <-> {right.name}")
def ensure_peering(
    deployment: Deployment, left: RegionPlan, right: RegionPlan, left_id: str, right_id: str
) -> tuple[Ensured, Ensured]:
    """Peer two virtual networks, in both directions.

    Azure keeps one peering per direction; the second one is what makes both `Connected`.

    Args:
        deployment: Whose plan it is.
        left: One region.
        right: The other.
        left_id: Resource id of the one's virtual network.
        right_id: Resource id of the other's.

    Returns:
        The two halves, left-to-right first.

    Raises:
        AzureRefused: the address spaces overlap, for instance.
        NotReadyYet: they are not connected after 120 s (5-15 expected).
    Source: "Virtual network peering" in the Azure documentation.
    """
    with ExitStack() as held:
        for network in sorted((left_id, right_id)):
            held.enter_context(_locks[network])
        _delete_disconnected(deployment, left, right)
        _delete_disconnected(deployment, right, left)
        halves = (_half(deployment, left, right, right_id), _half(deployment, right, left, left_id))
    if any(half.change != "unchanged" for half in halves):
        _wait_until_connected(deployment, left, right)
        _wait_until_connected(deployment, right, left)
    return halves


def _delete_disconnected(deployment: Deployment, here: RegionPlan, there: RegionPlan) -> None:
    """Delete a half whose other half was deleted: Azure connects it to no new one."""
    peerings = deployment.network().virtual_network_peerings
    path = _path(deployment, here, there)
    found = read(peerings.get, path)
    if found and found["properties"].get("peeringState") == "Disconnected":
        with azure_errors(path[-1]):
            finish(peerings.begin_delete(*path), path[-1])


def _half(deployment: Deployment, here: RegionPlan, there: RegionPlan, remote_id: str) -> Ensured:
    operations = deployment.network().virtual_network_peerings
    return ensure(
        operations.get,
        operations.begin_create_or_update,
        _path(deployment, here, there),
        azure.peering(remote_id),
        plan=deployment.plan,
    )


def _wait_until_connected(deployment: Deployment, here: RegionPlan, there: RegionPlan) -> None:
    def is_connected() -> bool | None:
        found = read(deployment.network().virtual_network_peerings.get, _path(deployment, here, there))
        return True if found and found["properties"].get("peeringState") == "Connected" else None

    wait_until(
        is_connected, what=f"peering {here.name} -> {there.name} Connected", timeout_s=CONNECT_TIMEOUT_S
    )


def _path(deployment: Deployment, here: RegionPlan, there: RegionPlan) -> tuple[str, str, str]:
    return (deployment.resource_group, names.virtual_network(here.name), names.peering(there.name))
