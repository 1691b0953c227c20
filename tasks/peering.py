"""Peerings between virtual networks."""

from roachmesh.inventory import Resource
from roachmesh.outcome import Outcome
from roachmesh.plan import RegionPlan
from tasks.azure_resource import delete, ensure, read
from tasks.deployment import Deployment
from tasks.engine import once
from tasks.wait import wait_until

CONNECT_TIMEOUT_S = 120.0


@once("peering {left.name} <-> {right.name}")
def ensure_peering(deployment: Deployment, left: RegionPlan, right: RegionPlan) -> tuple[Outcome, Outcome]:
    """Peer two virtual networks, in both directions.

    Azure keeps one peering per direction; the second one is what makes both `Connected`. Meanwhile nobody
    else may write to either network: Azure would refuse.

    Returns:
        The two halves, left-to-right first.

    Raises:
        AzureRefused: the address spaces overlap, for instance.
        NotReadyYet: they are not connected after 120 s (5-15 expected).
    Source: "Virtual network peering" in the Azure documentation.
    """
    inventory = deployment.inventory
    there, back = inventory.peering(left, right), inventory.peering(right, left)
    _delete_disconnected(deployment, there)
    _delete_disconnected(deployment, back)
    outcomes = (ensure(deployment, there), ensure(deployment, back))
    if any(outcome.change != "unchanged" for outcome in outcomes):
        _wait_until_connected(deployment, there)
        _wait_until_connected(deployment, back)
    return outcomes


def _delete_disconnected(deployment: Deployment, half: Resource) -> None:
    """Delete a half whose other half was deleted: Azure connects it to no new one."""
    found = read(deployment, half)
    if found and found["properties"].get("peeringState") == "Disconnected":
        delete(deployment, half.type, half.path)


def _wait_until_connected(deployment: Deployment, half: Resource) -> None:
    def is_connected() -> bool:
        found = read(deployment, half)
        return found is not None and found["properties"].get("peeringState") == "Connected"

    wait_until(is_connected, what=f"{half.label} Connected", timeout_s=CONNECT_TIMEOUT_S)
