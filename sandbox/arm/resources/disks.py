"""Managed disks: data disks made empty, and the system disks that appear with their machines."""

from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError, invalid_parameter, not_emulated
from sandbox.arm.operations import Work, timestamp
from sandbox.arm.resource_type import ResourceType
from sandbox.arm.store import Json, Resource

MACHINES = "Microsoft.Compute/virtualMachines"


def check(cloud: Cloud, wanted: Resource, present: Resource | None) -> None:
    """Refuse what is not an empty disk of a known size; disks do not shrink.

    Source: the codes are believed, but for OperationNotAllowed (ansible/ansible#54644).
    """
    properties = wanted.properties
    option = (properties.get("creationData") or {}).get("createOption")
    if option is None:
        raise invalid_parameter("Required parameter 'creationData' is missing (null).", "creationData")
    if str(option).lower() != "empty" and not (present and present.hidden.get("system")):
        raise not_emulated(f"disks made by createOption {option}")
    size = properties.get("diskSizeGB")
    if not isinstance(size, int) or not 1 <= size <= 65536:
        raise invalid_parameter("Required parameter 'disk.diskSizeGB' is missing (null).", "disk.diskSizeGB")
    if present and size < present.properties["diskSizeGB"]:
        raise ArmError(409, "OperationNotAllowed", "Reducing the size of a managed disk is not supported.")
    if present and size > present.properties["diskSizeGB"] and owner(cloud, present):
        raise not_emulated("growing the disk of a machine")
    if present and present.envelope.get("zones") != wanted.envelope.get("zones"):
        raise ArmError(409, "PropertyChangeNotAllowed", "Changing property 'zones' is not allowed.")
    wanted.envelope.setdefault("sku", {"name": "Standard_LRS"})
    wanted.hidden.setdefault("created", timestamp(cloud.clock()))


def show(cloud: Cloud, disk: Resource) -> Json:
    """Its size in bytes, and whether a machine has it."""
    return {
        "timeCreated": disk.hidden.get("created"),
        "diskSizeBytes": disk.properties["diskSizeGB"] * 2**30,
        "diskState": "Attached" if owner(cloud, disk) else "Unattached",
        "uniqueId": disk.guid,
    }


def show_outside(cloud: Cloud, disk: Resource) -> Json:
    """The machine that has it."""
    machine = owner(cloud, disk)
    return {"managedBy": str(machine.id)} if machine else {}


def owner(cloud: Cloud, disk: Resource) -> Resource | None:
    """The machine that a disk is attached to."""
    return next(iter(cloud.store.referrers(disk.id, MACHINES)), None)


def check_delete(cloud: Cloud, disk: Resource) -> None:
    """Refuse while a machine has it. Source: ansible/ansible#54644."""
    machine = owner(cloud, disk)
    if machine:
        message = f"Disk {disk.id.name} is attached to VM {machine.id}."
        raise ArmError(409, "OperationNotAllowed", message)


def end(cloud: Cloud, disk: Resource) -> Work | None:
    """Forget the disk and what is on it."""
    cloud.store.remove(disk.id)
    machines = cloud.machines
    if machines is None or disk.hidden.get("system"):
        return None
    return lambda: machines.delete_disk(disk.id.key)


TYPE = ResourceType(
    "Microsoft.Compute/disks",
    write_s=3,
    delete_s=3,
    shape={"creationData": {"createOption": str}, "diskSizeGB": int},
    read_only=("diskState", "diskSizeBytes", "timeCreated", "uniqueId"),
    zonal=True,
    created_status=202,
    has_etag=False,
    check=check,
    show=show,
    show_outside=show_outside,
    check_delete=check_delete,
    end=end,
)
