"""Network interfaces: one address in one subnet, perhaps a public one, on at most one machine."""

import hashlib
from typing import Any

from sandbox.arm import addresses
from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError, not_emulated
from sandbox.arm.resource_type import ResourceType, referenced
from sandbox.arm.resources import effective_routes, public_addresses
from sandbox.arm.shapes import REFERENCE
from sandbox.arm.store import Json, Resource

DEFAULTS: Json = {
    "enableAcceleratedNetworking": False,
    "enableIPForwarding": False,
    "disableTcpStateTracking": False,
    "auxiliaryMode": "None",
    "auxiliarySku": "None",
    "nicType": "Standard",
}

CONFIGURATION: Json = {
    "subnet": REFERENCE,
    "publicIPAddress": REFERENCE,
    "privateIPAddress": str,
    "privateIPAllocationMethod": str,
}


def check(cloud: Cloud, wanted: Resource, present: Resource | None) -> None:
    """See that its address can be had, or choose one."""
    properties = wanted.properties
    configurations = properties.get("ipConfigurations") or []
    if not configurations:
        message = f"Network interface {wanted.id} must have at least one IP configuration."
        raise ArmError(400, "NetworkInterfaceMustHaveIpConfiguration", message)
    if len(configurations) > 1:
        raise not_emulated("several IP configurations on one network interface")
    if (properties.get("dnsSettings") or {}).get("dnsServers"):
        raise not_emulated("DNS servers of a network interface's own")
    referenced(cloud, wanted, properties, "networkSecurityGroup", "Network/networkSecurityGroups")
    for configuration in configurations:
        _check_configuration(cloud, wanted, present, configuration)
    for name, value in DEFAULTS.items():
        properties.setdefault(name, value)
    machine = attached_to(cloud, wanted)
    if machine and present and _subnet_id(present) != _subnet_id(wanted):
        raise not_emulated("moving the interface of a machine to another subnet")


def show(cloud: Cloud, interface: Resource) -> Json:
    """The machine that has it, and what the machine's driver would report."""
    machine = attached_to(cloud, interface)
    configurations = [_shown(interface, one) for one in interface.properties["ipConfigurations"]]
    shown: Json = {
        "resourceGuid": interface.guid,
        "ipConfigurations": configurations,
        "dnsSettings": {"dnsServers": [], "appliedDnsServers": []},
        "hostedWorkloads": [],
        "tapConfigurations": [],
        "vnetEncryptionSupported": False,
        "defaultOutboundConnectivityEnabled": False,
    }
    if machine:
        digest = hashlib.sha256(interface.guid.encode()).hexdigest().upper()
        mac = "-".join(["00", "0D", "3A", digest[:2], digest[2:4], digest[4:6]])
        shown |= {"virtualMachine": {"id": str(machine.id)}, "primary": True, "macAddress": mac}
    return shown


def check_delete(cloud: Cloud, interface: Resource) -> None:
    """Refuse while a machine has it. Source: terraform-provider-azurerm#8105."""
    machine = attached_to(cloud, interface)
    if machine:
        message = (
            f"Network Interface {interface.id} is used by existing resource {machine.id}. In order to "
            "delete the network interface, it must be dissociated from the resource. To learn more, see "
            "aka.ms/deletenic."
        )
        raise ArmError(400, "NicInUse", message)


def attached_to(cloud: Cloud, interface: Resource) -> Resource | None:
    """The virtual machine that an interface belongs to."""
    return next(iter(cloud.store.referrers(interface.id, "Microsoft.Compute/virtualMachines")), None)


def _check_configuration(
    cloud: Cloud, wanted: Resource, present: Resource | None, configuration: Json
) -> None:
    name = str(configuration.setdefault("name", "ipconfig1"))
    properties = configuration.setdefault("properties", {})
    subnet = referenced(cloud, wanted, properties, "subnet", "Network/virtualNetworks/subnets")
    if subnet is None:
        message = f"Subnet reference is required for ipconfiguration {wanted.id}/ipConfigurations/{name}."
        raise ArmError(400, "SubnetIsRequired", message)
    for unsupported in ("applicationSecurityGroups", "loadBalancerBackendAddressPools"):
        if properties.get(unsupported):
            raise not_emulated(f"{unsupported} of a network interface")
    properties |= {"primary": True, "privateIPAddressVersion": "IPv4"}
    _check_public(cloud, wanted, name, properties)
    method = str(properties.setdefault("privateIPAllocationMethod", "Dynamic")).capitalize()
    properties["privateIPAllocationMethod"] = method
    if method == "Static":
        if not properties.get("privateIPAddress"):
            message = f"IP configuration {name} is static and has no privateIPAddress."
            raise ArmError(400, "PrivateIPAddressMissing", message)
        addresses.check_static(cloud, subnet, properties["privateIPAddress"], wanted, name)
    else:
        kept = _kept(present, subnet)
        properties["privateIPAddress"] = kept or str(addresses.next_free(cloud, subnet))


def _kept(present: Resource | None, subnet: Resource) -> str | None:
    """A dynamic address stays what it is as long as the interface stays in its subnet."""
    if present is None or _subnet_id(present) != subnet.id.key:
        return None
    address: str = present.properties["ipConfigurations"][0]["properties"]["privateIPAddress"]
    return address


def _check_public(cloud: Cloud, wanted: Resource, name: str, properties: Json) -> None:
    """Refuse a public address that another configuration has; the code is believed."""
    address = referenced(cloud, wanted, properties, "publicIPAddress", "Network/publicIPAddresses")
    if address is None:
        properties.pop("publicIPAddress", None)
        return
    holder = public_addresses.holder_of(cloud, address)
    if holder and not holder.lower().startswith(f"{wanted.id.key}/"):
        message = (
            f"Resource {wanted.id}/ipConfigurations/{name} is referencing public IP address {address.id} "
            f"that is already allocated to resource {holder}."
        )
        raise ArmError(400, "PublicIPAddressInUse", message)


def _subnet_id(interface: Resource) -> str:
    configuration: Any = interface.properties["ipConfigurations"][0]
    return str(configuration["properties"]["subnet"]["id"]).lower()


def _shown(interface: Resource, configuration: Json) -> Json:
    return {
        **configuration,
        "id": f"{interface.id}/ipConfigurations/{configuration['name']}",
        "etag": interface.etag,
        "type": "Microsoft.Network/networkInterfaces/ipConfigurations",
        "properties": {"provisioningState": "Succeeded", **configuration["properties"]},
    }


TYPE = ResourceType(
    "Microsoft.Network/networkInterfaces",
    write_s=7,
    delete_s=10,
    shape={
        "ipConfigurations": [{"name": str, "properties": CONFIGURATION}],
        "enableIPForwarding": bool,
        "networkSecurityGroup": REFERENCE,
        "dnsSettings": {"dnsServers": [str]},
    },
    read_only=("virtualMachine", "macAddress", "primary", "hostedWorkloads", "tapConfigurations"),
    check=check,
    show=show,
    check_delete=check_delete,
    actions={("POST", "effectiveroutetable"): effective_routes.show_table},
)
