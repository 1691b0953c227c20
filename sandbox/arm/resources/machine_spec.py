"""What a virtual machine's JSON means to the machine that boots."""

import base64
import hashlib
import re

from sandbox.arm.ids import ResourceId
from sandbox.arm.store import Json, Resource, Store
from sandbox.machines.model import DataDisk, MachineSpec

CUSTOM_DATA = "osProfile.customData"


def machine_key(machine_id: ResourceId) -> str:
    """A short name of a machine, always the same for the same id, unlike any other's.

    It names namespaces and files: at most 20 lower-case letters, digits and dashes.
    """
    readable = re.sub(r"[^a-z0-9]+", "-", machine_id.name.lower()).strip("-")[:13].rstrip("-")
    digest = hashlib.sha256(machine_id.key.encode()).hexdigest()
    return f"{readable}-{digest}"[:20] if readable else digest[:20]


def machine_spec(store: Store, machine: Resource) -> MachineSpec:
    """Describe a machine as the hypervisor needs it."""
    profile = machine.properties["osProfile"]
    keys = profile["linuxConfiguration"]["ssh"]["publicKeys"]
    custom_data = base64.b64decode(machine.hidden.get(CUSTOM_DATA, "")).decode()
    return MachineSpec(
        key=machine_key(machine.id),
        hostname=profile["computerName"],
        admin_username=profile["adminUsername"],
        ssh_public_keys=tuple(key["keyData"] for key in keys),
        custom_data=custom_data,
        data_disks=tuple(
            _data_disk(store, disk) for disk in machine.properties["storageProfile"]["dataDisks"]
        ),
    )


def _data_disk(store: Store, attached: Json) -> DataDisk:
    disk = store.get(attached["managedDisk"]["id"])
    return DataDisk(id=disk.id.key, lun=attached["lun"], size_gib=disk.properties["diskSizeGB"])
