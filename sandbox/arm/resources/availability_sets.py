"""Availability sets: written at once, without an operation."""

from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError, invalid_parameter
from sandbox.arm.resource_type import ResourceType
from sandbox.arm.store import Json, Resource


def check(cloud: Cloud, wanted: Resource, present: Resource | None) -> None:
    """Refuse domain counts that Azure does not have, or that change while machines are in it."""
    limits = {"platformFaultDomainCount": (3, 3), "platformUpdateDomainCount": (20, 5)}
    for name, (most, default) in limits.items():
        count = wanted.properties.setdefault(name, default)
        if not isinstance(count, int) or not 1 <= count <= most:
            raise invalid_parameter(f"The specified value {count} for {name} must be 1 to {most}.", name)
        if present and present.properties[name] != count and cloud.store.referrers(wanted.id):
            message = f"Changing property '{name}' is not allowed."
            raise ArmError(409, "PropertyChangeNotAllowed", message, target=name)
    wanted.envelope.setdefault("sku", {"name": "Classic"})


def show(cloud: Cloud, resource: Resource) -> Json:
    """The machines in it."""
    return {"virtualMachines": [{"id": str(machine.id)} for machine in cloud.store.referrers(resource.id)]}


def check_delete(cloud: Cloud, resource: Resource) -> None:
    """Refuse while there are machines in it; the code is believed."""
    if cloud.store.referrers(resource.id):
        message = (
            f"Availability Set '{resource.id.name}' cannot be deleted. Before deleting an Availability Set "
            "please ensure that it does not contain any VM."
        )
        raise ArmError(409, "OperationNotAllowed", message)


TYPE = ResourceType(
    "Microsoft.Compute/availabilitySets",
    write_s=0,
    delete_s=0,
    shape={"platformFaultDomainCount": int, "platformUpdateDomainCount": int},
    read_only=("virtualMachines", "statuses"),
    synchronous=True,
    has_etag=False,
    check=check,
    show=show,
    check_delete=check_delete,
)
