"""Public IP addresses: Standard and static, out of the sandbox's own public network."""

from sandbox.arm.addresses import next_public
from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError, not_emulated
from sandbox.arm.resource_type import ResourceType, reference
from sandbox.arm.store import Json, Resource

DEFAULTS = {"publicIPAddressVersion": "IPv4", "idleTimeoutInMinutes": 4, "ipTags": []}


def check(cloud: Cloud, wanted: Resource, present: Resource | None) -> None:
    """Refuse what is not Standard and static; give it an address when it is made.

    Source: both codes in facts/azure.md section 5. Basic is what a body without a SKU asks for.
    """
    sku = wanted.envelope.setdefault("sku", {"name": "Basic"})
    sku.setdefault("tier", "Regional")
    if str(sku.get("name", "Basic")).lower() == "basic":
        message = (
            "Cannot create more than 0 IPv4 Basic SKU public IP addresses for this subscription in this "
            "region."
        )
        raise ArmError(400, "IPv4BasicSkuPublicIpCountLimitReached", message)
    properties = wanted.properties
    if str(properties.setdefault("publicIPAllocationMethod", "Dynamic")).lower() != "static":
        message = (
            f"Standard and StandardV2 sku publicIp {wanted.id} must have AllocationMethod set to Static."
        )
        raise ArmError(400, "StandardAndStandardV2SkuPublicIPAddressesMustBeStatic", message)
    for name, value in DEFAULTS.items():
        properties.setdefault(name, value)
    if str(properties["publicIPAddressVersion"]).lower() != "ipv4":
        raise not_emulated("public addresses of IPv6")
    for name in ("dnsSettings", "publicIPPrefix", "natGateway"):
        if properties.get(name):
            raise not_emulated(f"{name} of a public address")
    properties["ipAddress"] = present.properties["ipAddress"] if present else str(next_public(cloud))


def show(cloud: Cloud, address: Resource) -> Json:
    """The IP configuration that has it."""
    shown: Json = {"resourceGuid": address.guid}
    holder = holder_of(cloud, address)
    return {**shown, "ipConfiguration": {"id": holder}} if holder else shown


def check_delete(cloud: Cloud, address: Resource) -> None:
    """Refuse while an interface has it. Source: ernestio/ernest#514."""
    holder = holder_of(cloud, address)
    if holder:
        message = (
            f"Public IP address {address.id} can not be deleted since it is still allocated to resource "
            f"{holder}. In order to delete the public IP, disassociate/detach the Public IP address from "
            "the resource.  To learn how to do this, see aka.ms/deletepublicip."
        )
        raise ArmError(400, "PublicIPAddressCannotBeDeleted", message)


def holder_of(cloud: Cloud, address: Resource) -> str | None:
    """The id of the IP configuration that a public address belongs to."""
    for interface in cloud.store.referrers(address.id, "Microsoft.Network/networkInterfaces"):
        for configuration in interface.properties["ipConfigurations"]:
            given = reference(configuration["properties"], "publicIPAddress")
            if given and given.lower() == address.id.key:
                return f"{interface.id}/ipConfigurations/{configuration['name']}"
    return None


TYPE = ResourceType(
    "Microsoft.Network/publicIPAddresses",
    write_s=3,
    delete_s=15,
    shape={"publicIPAllocationMethod": str, "publicIPAddressVersion": str},
    read_only=("ipAddress", "ipConfiguration"),
    zonal=True,
    check=check,
    show=show,
    check_delete=check_delete,
)
