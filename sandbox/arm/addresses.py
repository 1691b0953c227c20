"""Address ranges and the addresses in them: which are valid, reserved, taken, free."""

from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address, IPv4Network

from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError, not_emulated
from sandbox.arm.ids import ResourceId
from sandbox.arm.store import Resource


def check_networks(prefixes: Iterable[str], owner: ResourceId) -> list[IPv4Network]:
    """Read CIDR ranges; the code for a malformed one is believed."""
    networks = []
    for text in prefixes:
        if ":" in text:
            raise not_emulated("IPv6 address ranges")
        try:
            networks.append(IPv4Network(text))
        except ValueError:
            message = f"The address prefix {text} in resource {owner} is not a valid CIDR."
            raise ArmError(400, "InvalidCIDRNotation", message) from None
    return networks


def subnet_prefix(subnet: Resource) -> IPv4Network:
    """The range of a stored subnet."""
    several = subnet.properties.get("addressPrefixes") or [subnet.properties.get("addressPrefix")]
    return IPv4Network(several[0])


def is_reserved(prefix: IPv4Network, address: IPv4Address) -> bool:
    """Azure keeps the first four addresses of a subnet and the last.

    Source: the virtual networks FAQ of the Azure documentation.
    """
    offset = int(address) - int(prefix.network_address)
    return offset < 4 or address == prefix.broadcast_address


def taken(cloud: Cloud, subnet: Resource) -> dict[IPv4Address, Resource]:
    """The addresses in a subnet that interfaces have, and which interface."""
    return {
        IPv4Address(configuration["properties"]["privateIPAddress"]): interface
        for interface in cloud.store.referrers(subnet.id, "Microsoft.Network/networkInterfaces")
        for configuration in interface.properties["ipConfigurations"]
        if configuration["properties"]["subnet"]["id"].lower() == subnet.id.key
    }


def check_static(cloud: Cloud, subnet: Resource, text: str, interface: Resource, name: str) -> None:
    """Refuse a static address that cannot be had.

    Source: PrivateIPAddressInReservedRange in terraform-provider-azurerm#4225,
    PrivateIPAddressIsAllocated in daniel-rhoades/acs-engine-terraform#10.
    """
    prefix = subnet_prefix(subnet)
    try:
        address = IPv4Address(text)
    except AddressValueError:
        raise ArmError(400, "InvalidIPAddress", f"The IP address {text} is invalid.") from None
    about = f"Private static IP address {address}"
    if address not in prefix:
        message = f"{about} does not belong to the range of subnet prefix {prefix}."
        raise ArmError(400, "PrivateIPAddressNotInSubnet", message)
    if is_reserved(prefix, address):
        message = f"{about} falls within reserved IP range of subnet prefix {prefix}."
        raise ArmError(400, "PrivateIPAddressInReservedRange", message)
    holder = taken(cloud, subnet).get(address)
    if holder and holder.id.key != interface.id.key:
        message = (
            f"IP configuration {interface.id}/ipConfigurations/{name} is using the private IP address "
            f"{address} which is already allocated to resource {holder.id}."
        )
        raise ArmError(400, "PrivateIPAddressIsAllocated", message)


def next_free(cloud: Cloud, subnet: Resource) -> IPv4Address:
    """The lowest free address of a subnet: what Azure gives to a dynamic configuration."""
    prefix, used = subnet_prefix(subnet), taken(cloud, subnet)
    for address in prefix:
        if not is_reserved(prefix, address) and address not in used:
            return address
    message = (
        f"Subnet {subnet.id.name} with address prefix {prefix} does not have enough capacity for 1 IP "
        "addresses."
    )
    raise ArmError(400, "SubnetIsFull", message)


def next_public(cloud: Cloud) -> IPv4Address:
    """A free public address, as far as possible one that nobody had before.

    Azure hands out from a large pool, so an address that was just released does not come back at once;
    clients keep host keys and connections by address.
    """
    network, first = cloud.instance.public_network, cloud.instance.first_machine_address
    used = {
        resource.properties["ipAddress"]
        for resource in cloud.store.of_type("Microsoft.Network/publicIPAddresses")
    }
    size = int(network.broadcast_address) - int(first)
    for step in range(size):
        address = first + (cloud.next_public_offset + step) % size
        if str(address) not in used:
            cloud.next_public_offset = int(address) - int(first) + 1
            return address
    message = "Cannot create more public IP addresses for this subscription in this region."
    raise ArmError(400, "PublicIPCountLimitReached", message)
