"""Virtual machines: checked, given a system disk, booted; see machine_power for what happens then."""

from dataclasses import replace

from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError, not_emulated
from sandbox.arm.operations import Work, timestamp
from sandbox.arm.resource_type import Answer, Call, ResourceType
from sandbox.arm.resources import disks, machine_checks, machine_power
from sandbox.arm.resources.machine_spec import CUSTOM_DATA
from sandbox.arm.store import Json, Resource

WRITE_ONLY = ("osProfile.adminPassword", CUSTOM_DATA, "userData")
DISK_GIB = 30


def check(cloud: Cloud, wanted: Resource, present: Resource | None) -> None:
    """Refuse what cannot be made or may not change; the system disk appears with the machine."""
    properties = wanted.properties
    for name in ("osProfile", "storageProfile", "networkProfile", "hardwareProfile"):
        if present and name not in properties:
            properties[name] = present.properties[name]
    if any(f"new {secret}" in wanted.hidden for secret in WRITE_ONLY if secret != CUSTOM_DATA):
        raise not_emulated("passwords and user data of machines")
    if present:  # `az vm update` leaves the image out
        kept = present.properties["storageProfile"]["imageReference"]
        properties["storageProfile"].setdefault("imageReference", kept)
    machine_checks.check_profiles(wanted)
    if properties.get("availabilitySet") and wanted.envelope.get("zones"):
        raise not_emulated("a machine in a zone and in an availability set (Azure refuses it too)")
    storage = properties["storageProfile"]
    storage.setdefault("dataDisks", [])
    if present:
        before = present.properties["storageProfile"]["osDisk"]
        storage["osDisk"] = {**before, **storage["osDisk"], "managedDisk": before["managedDisk"]}
        _check_update(cloud, wanted, present)
    machine_checks.check_interfaces(cloud, wanted)
    machine_checks.check_data_disks(cloud, wanted)
    _fill_in(properties)
    if not present:
        _make_system_disk(cloud, wanted)
        wanted.hidden[CUSTOM_DATA] = wanted.hidden.pop(f"new {CUSTOM_DATA}", "")
        wanted.hidden.update(created=timestamp(cloud.clock()), power="starting")


def show(cloud: Cloud, machine: Resource) -> Json:
    """Its GUID and age."""
    return {"vmId": machine.guid, "timeCreated": machine.hidden["created"]}


def begin(cloud: Cloud, machine: Resource, present: Resource | None) -> Work | None:
    """Boot a new machine, and one whose creation failed; an update alone starts nothing."""
    failed = present and cloud.operations.provisioning_state(present.operation) == "Failed"
    return machine_power.boot(cloud, machine) if failed or not present else None


def _check_update(cloud: Cloud, wanted: Resource, present: Resource) -> None:
    machine_power.check_not_busy(cloud, present)
    machine_checks.check_unchanged(wanted, present)
    before, after = (one.properties["storageProfile"]["dataDisks"] for one in (present, wanted))
    luns = [
        {(disk["lun"], str(disk["managedDisk"]["id"]).lower()) for disk in each} for each in (before, after)
    ]
    if luns[0] != luns[1] and present.hidden["power"] == "running":
        raise not_emulated("other disks on a machine that runs: deallocate it first")


def _make_system_disk(cloud: Cloud, wanted: Resource) -> None:
    """Make the disk's record; it takes over the machine's tags, once.

    Source: terraform-provider-azurerm#8162.
    """
    given = wanted.properties["storageProfile"]["osDisk"]
    name = given.setdefault("name", f"{wanted.id.name}_OsDisk_1_{wanted.guid.replace('-', '')}")
    size = given.setdefault("diskSizeGB", DISK_GIB)
    managed = given.setdefault("managedDisk", {})
    sku = managed.setdefault("storageAccountType", "Standard_LRS")
    disk_id = replace(wanted.id, path=(("disks", name),))
    if cloud.store.find(disk_id):
        message = (
            f"Disk {name} already exists in resource group {wanted.id.group.upper()}. "
            "Only CreateOption.Attach is supported."
        )
        raise ArmError(409, "ConflictingUserInput", message)
    managed["id"] = str(disk_id)
    zones = {"zones": wanted.envelope["zones"]} if wanted.envelope.get("zones") else {}
    image = wanted.properties["storageProfile"]["imageReference"]
    cloud.store.put(
        Resource(
            id=disk_id,
            location=wanted.location,
            tags=wanted.tags,
            envelope={"sku": {"name": sku}, **zones},
            properties={
                "osType": "Linux",
                "diskSizeGB": size,
                "creationData": {"createOption": "FromImage", "imageReference": {**image}},
            },
            hidden={"system": True, "created": timestamp(cloud.clock())},
        )
    )


def _fill_in(properties: Json) -> None:
    """Add what Azure adds."""
    storage, profile = properties["storageProfile"], properties["osProfile"]
    storage["osDisk"] = {"osType": "Linux", "caching": "None", "deleteOption": "Detach"} | storage["osDisk"]
    storage["imageReference"].setdefault("version", "latest")
    for disk in storage["dataDisks"]:
        disk.setdefault("caching", "None")
        disk.setdefault("deleteOption", "Detach")
        disk.setdefault("toBeDetached", False)
    profile.setdefault("secrets", [])
    profile.setdefault("allowExtensionOperations", True)
    profile.setdefault("requireGuestProvisionSignal", True)
    profile["linuxConfiguration"].setdefault("provisionVMAgent", True)


def instance_view(cloud: Cloud, machine: Resource, call: Call) -> Answer:
    """What the machine does right now."""
    return Answer(200, machine_power.instance_view(cloud, machine))


def with_instance_view(cloud: Cloud, machine: Resource, document: Json) -> Json:
    """A machine's document with `$expand=instanceView`."""
    view = machine_power.instance_view(cloud, machine)
    return {**document, "properties": {**document["properties"], "instanceView": view}}


def end(cloud: Cloud, machine: Resource) -> Work | None:
    """Stop it, then let it go with all that is to go with it."""
    return machine_power.remove(cloud, machine, lambda: forget(cloud, machine))


def forget(cloud: Cloud, machine: Resource) -> list[Resource]:
    """Remove the record and what its `deleteOption`s name; returns the data disks that go."""
    cloud.store.remove(machine.id)
    storage = machine.properties["storageProfile"]
    doomed = [
        disk["managedDisk"]["id"]
        for disk in (storage["osDisk"], *storage["dataDisks"])
        if disk.get("deleteOption") == "Delete"
    ]
    interfaces = machine.properties["networkProfile"]["networkInterfaces"]
    for item in interfaces:
        if (item.get("properties") or {}).get("deleteOption") == "Delete":
            doomed += [item["id"], *_public_addresses(cloud, item["id"])]
    gone = [found for found in (cloud.store.find(text) for text in doomed) if found]
    for resource in gone:
        cloud.store.remove(resource.id)
    return [one for one in gone if one.id.type == disks.TYPE.name and not one.hidden.get("system")]


def _public_addresses(cloud: Cloud, interface_id: str) -> list[str]:
    """The public addresses that go with an interface that goes with its machine."""
    interface = cloud.store.find(interface_id)
    given = [
        configuration["properties"].get("publicIPAddress") or {}
        for configuration in (interface.properties["ipConfigurations"] if interface else [])
    ]
    return [one["id"] for one in given if (one.get("properties") or {}).get("deleteOption") == "Delete"]


TYPE = ResourceType(
    "Microsoft.Compute/virtualMachines",
    write_s=49,
    delete_s=25,
    shape=machine_checks.SHAPE,
    read_only=("instanceView", "vmId", "timeCreated"),
    write_only=WRITE_ONLY,
    zonal=True,
    check=check,
    show=show,
    begin=begin,
    end=end,
    actions={("GET", "instanceview"): instance_view, **machine_power.ACTIONS},
)
