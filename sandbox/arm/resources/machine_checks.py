"""What a virtual machine's PUT must say, and what it may not change afterwards."""

import base64
import binascii
import re
from typing import Any

from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import (
    ArmError,
    invalid_parameter,
    not_emulated,
    property_change_not_allowed,
)
from sandbox.arm.resource_type import referenced
from sandbox.arm.resources import disks, network_interfaces
from sandbox.arm.resources.machine_spec import CUSTOM_DATA
from sandbox.arm.shapes import REFERENCE
from sandbox.arm.store import Json, Resource
from sandbox.machines import cloud_config

# Source: the page on user name requirements of Linux machines in the Azure documentation, in part.
FORBIDDEN_USERS = {"root", "admin", "administrator", "user", "guest", "test", "sys", "console", "backup"}
SHAPE: Json = {
    "hardwareProfile": {"vmSize": str},
    "storageProfile": {
        "imageReference": dict.fromkeys(("publisher", "offer", "sku", "version"), str),
        "osDisk": {
            **dict.fromkeys(("name", "createOption", "deleteOption"), str),
            "diskSizeGB": int,
            "managedDisk": {"id": str, "storageAccountType": str},
        },
        "dataDisks": [{"lun": int, "deleteOption": str, "managedDisk": REFERENCE}],
    },
    "osProfile": {
        **dict.fromkeys(("computerName", "adminUsername", "adminPassword", "customData"), str),
        "linuxConfiguration": {
            "disablePasswordAuthentication": bool,
            "ssh": {"publicKeys": [{"path": str, "keyData": str}]},
        },
    },
    "networkProfile": {"networkInterfaces": [{"id": str, "properties": {"deleteOption": str}}]},
    "availabilitySet": REFERENCE,
}
IMMUTABLE = (
    "osProfile.computerName",
    "osProfile.adminUsername",
    "osProfile.linuxConfiguration.disablePasswordAuthentication",
    "osProfile.linuxConfiguration.ssh.publicKeys",
    "storageProfile.imageReference.publisher",
    "storageProfile.imageReference.offer",
    "storageProfile.imageReference.sku",
    "storageProfile.osDisk.name",
    "storageProfile.osDisk.createOption",
    "availabilitySet.id",
)


def look_up(properties: Json, dotted: str) -> Any:
    """The value at `a.b.c`, None where there is none."""
    value: Any = properties
    for step in dotted.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def require(properties: Json, dotted: str) -> Any:
    """The value at `a.b.c`, or a refusal."""
    value = look_up(properties, dotted)
    if value in (None, "", {}):
        raise invalid_parameter(f"Required parameter '{dotted}' is missing (null).", dotted)
    return value


def check_profiles(wanted: Resource) -> None:
    """Refuse a machine that could not be made; codes and texts are believed."""
    properties = wanted.properties
    size = str(require(properties, "hardwareProfile.vmSize"))
    if not re.fullmatch(r"(Standard|Basic)_[A-Za-z0-9_-]+", size):
        message = f"The value {size} provided for the VM size is not valid."
        raise invalid_parameter(message, "vmSize")
    _check_image(properties)
    name = str(require(properties, "osProfile.computerName"))
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?", name):
        message = "Linux host name cannot exceed 64 characters in length or contain special characters."
        raise invalid_parameter(message, "computerName")
    user = str(require(properties, "osProfile.adminUsername"))
    if user.lower() in FORBIDDEN_USERS or not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", user):
        raise invalid_parameter("The Admin Username specified is not allowed.", "adminUsername")
    _check_keys(properties, user)
    _check_custom_data(wanted.hidden.get(f"new {CUSTOM_DATA}"))


def check_unchanged(wanted: Resource, present: Resource) -> None:
    """Refuse to change what is fixed when a machine is made. Source: Azure/azure-sdk-for-java#1976."""
    for dotted in IMMUTABLE:
        if look_up(wanted.properties, dotted) != look_up(present.properties, dotted):
            raise property_change_not_allowed(dotted.removeprefix("storageProfile."))
    if wanted.envelope.get("zones") != present.envelope.get("zones"):
        raise property_change_not_allowed("zones")
    new = wanted.hidden.pop(f"new {CUSTOM_DATA}", None)
    if new is not None and new != present.hidden.get(CUSTOM_DATA):
        raise property_change_not_allowed("customData")
    if _interfaces(wanted) != _interfaces(present):
        raise not_emulated("other network interfaces for an existing machine")


def check_interfaces(cloud: Cloud, wanted: Resource) -> None:
    """See that every interface is free."""
    given = require(wanted.properties, "networkProfile.networkInterfaces")
    if len(given) > 1:
        raise not_emulated("several network interfaces on one machine")
    for item in given:
        interface = referenced(cloud, wanted, {"interface": item}, "interface", "Network/networkInterfaces")
        if interface is None:
            raise invalid_parameter("Required parameter 'networkInterface.id' is missing (null).", "id")
        holder = network_interfaces.attached_to(cloud, interface)
        if holder and holder.id.key != wanted.id.key:
            message = f"Network Interface {interface.id} is used by existing resource {holder.id}."
            raise ArmError(400, "NicInUse", message)


def check_data_disks(cloud: Cloud, wanted: Resource) -> None:
    """See that every data disk exists, is free, and has a LUN of its own."""
    luns = set()
    for attached in wanted.properties["storageProfile"]["dataDisks"]:
        lun = attached.get("lun")
        if not isinstance(lun, int) or not 0 <= lun <= 63 or lun in luns:
            raise invalid_parameter(f"The LUN {lun} of a data disk is invalid or used twice.", "dataDisk.lun")
        luns.add(lun)
        disk = referenced(cloud, wanted, attached, "managedDisk", "Compute/disks")
        if disk is None:
            raise not_emulated("data disks that a machine's PUT creates; make the disk first, then attach it")
        attached |= {"name": disk.id.name, "diskSizeGB": disk.properties["diskSizeGB"]}
        holder = disks.owner(cloud, disk)
        if holder and holder.id.key != wanted.id.key:
            message = f"Disk '{disk.id.name}' cannot be attached: it is already attached to VM {holder.id}."
            raise ArmError(409, "AttachDiskWhileBeingDetached", message)
        if (disk.envelope.get("zones") or []) != (wanted.envelope.get("zones") or []):
            message = f"Disk {disk.id} cannot be attached to the VM because it is not in the same zone."
            raise ArmError(400, "BadRequest", message)


def _check_image(properties: Json) -> None:
    """Only what the sandbox really boots; a machine that is something else would be a lie."""
    if str(look_up(properties, "storageProfile.osDisk.createOption") or "").lower() != "fromimage":
        raise not_emulated("machines whose system disk is not made FromImage")
    image = require(properties, "storageProfile.imageReference")
    named = [str(image.get(part, "")).lower() for part in ("publisher", "offer")]
    if named[0] != "debian" or not named[1].startswith("debian-13"):
        found = ":".join(str(image.get(part, "")) for part in ("publisher", "offer", "sku", "version"))
        raise not_emulated(f"the image {found}; it boots Debian:debian-13:13-gen2:latest")


def _check_keys(properties: Json, user: str) -> None:
    if look_up(properties, "osProfile.linuxConfiguration.disablePasswordAuthentication") is not True:
        raise not_emulated("logging in with a password: set disablePasswordAuthentication and give a key")
    keys = look_up(properties, "osProfile.linuxConfiguration.ssh.publicKeys") or []
    if not keys:
        message = (
            "Authentication using either SSH or by user name and password must be enabled in Linux profile."
        )
        raise invalid_parameter(message, "linuxConfiguration")
    home = f"/home/{user}/.ssh/authorized_keys"
    for key in keys:
        if key.setdefault("path", home) != home:
            message = (
                f"Destination path for SSH public keys is currently limited to its default value {home}."
            )
            raise invalid_parameter(message, "linuxConfiguration.ssh.publicKeys.path")
        if not re.match(r"(ssh-rsa|ssh-ed25519) [A-Za-z0-9+/=]{60,}", str(key.get("keyData"))):
            message = "The value of parameter linuxConfiguration.ssh.publicKeys.keyData is invalid."
            raise invalid_parameter(message, "linuxConfiguration.ssh.publicKeys.keyData")


def _check_custom_data(encoded: object) -> None:
    """Refuse what Azure refuses, and what the sandbox's cloud-init would leave out."""
    if encoded is None:
        return
    message = (
        "Custom data in OSProfile must be in Base64 encoding and with a maximum length of 87380 characters."
    )
    try:
        decoded = base64.b64decode(str(encoded), validate=True).decode()
        cloud_config.parse(decoded)
    except cloud_config.UnsupportedCustomData as error:
        raise ArmError(400, "NotEmulatedBySandbox", str(error), target="customData") from error
    except (binascii.Error, UnicodeDecodeError):
        raise invalid_parameter(message, "customData") from None
    if len(str(encoded)) > 87380:
        raise invalid_parameter(message, "customData")


def _interfaces(machine: Resource) -> set[str]:
    given = look_up(machine.properties, "networkProfile.networkInterfaces") or []
    return {str(item.get("id")).lower() for item in given}
