"""A virtual network does one thing at a time, its subnets and peerings included."""

from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError
from sandbox.arm.ids import ResourceId
from sandbox.arm.operations import Operation


def check_idle(cloud: Cloud, resource_id: ResourceId, own: Operation | None) -> None:
    """Refuse a write while another one on the same virtual network has not ended.

    Source: the code is in facts/azure.md; writers are expected to take turns per network.
    """
    root = cloud.store.find(resource_id.root)
    if root is None:
        return
    for part in (root, *cloud.store.descendants(root.id)):
        other = part.operation
        if other and other is not own and cloud.operations.status(other) == "InProgress":
            message = (
                "Another operation on this or dependent resource is in progress. To retrieve status of the "
                f"operation use uri: /subscriptions/{cloud.subscription_id}/providers/Microsoft.Network"
                f"/locations/{other.location}/operations/{other.id}."
            )
            raise ArmError(409, "AnotherOperationInProgress", message)
