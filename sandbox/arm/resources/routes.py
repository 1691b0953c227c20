"""User-defined routes, the children of a route table."""

import re
from ipaddress import AddressValueError, IPv4Address, IPv4Network

from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError, not_emulated
from sandbox.arm.resource_type import ResourceType
from sandbox.arm.resources.security_rules import AZURES_TAGS
from sandbox.arm.store import Json, Resource

MOST = 400
APPLIANCE = "VirtualAppliance"
NEXT_HOPS = (APPLIANCE, "VnetLocal", "Internet", "None")
AZURES_NEXT_HOPS = ("VirtualNetworkGateway", "VirtualApplianceEcmp")


def check(cloud: Cloud, wanted: Resource, present: Resource | None) -> None:
    """Refuse what leads nowhere, and a prefix that another route has.

    Source: RouteConflict in kubernetes-sigs/cloud-provider-azure#657, InvalidAddressPrefixFormat in
    MicrosoftDocs/azure-docs#73366; that host bits give InvalidCIDRNotation, and the code of the limit, are
    believed. Azure raised its default limit from 400 to 1000 in 2026 (MicrosoftDocs/azure-docs#128572).
    """
    properties = wanted.properties
    prefix = _prefix(wanted)
    properties["addressPrefix"] = prefix
    properties["nextHopType"] = _next_hop(wanted)
    _check_address(wanted)
    others = cloud.store.children(wanted.id.owner, "routes")
    if len({wanted.id.key, *(other.id.key for other in others)}) > MOST:
        message = f"A route table cannot have more than {MOST} routes."
        raise ArmError(400, "RouteCountLimitReached", message)
    for other in others:
        if other.properties["addressPrefix"] == prefix and other.id.key != wanted.id.key:
            message = (
                f"Route: {wanted.id.name} conflicts with Route: {other.id.name}. Routes cannot have the same "
                "AddressPrefix."
            )
            raise ArmError(400, "RouteConflict", message)


def show(cloud: Cloud, route: Resource) -> Json:
    """That no gateway's routes take its place: there are no gateways."""
    return {"hasBgpOverride": False}


def _prefix(wanted: Resource) -> str:
    given = wanted.properties.get("addressPrefix") or ""
    if ":" in given:
        raise not_emulated("IPv6 in user-defined routes")
    if given.partition(".")[0].lower() in AZURES_TAGS:
        raise not_emulated(f"service tags in user-defined routes, as {given}")
    if not re.fullmatch(r"\d+(\.\d+){3}/\d+", given):
        message = (
            f"Address prefix {given} of resource {wanted.id} is not formatted correctly. It should follow "
            "CIDR notation, for example 10.0.0.0/24."
        )
        raise ArmError(400, "InvalidAddressPrefixFormat", message)
    try:
        return str(IPv4Network(given))
    except ValueError as error:
        message = f"The address prefix {given} in resource {wanted.id} has an invalid CIDR notation: {error}."
        raise ArmError(400, "InvalidCIDRNotation", message) from None


def _next_hop(wanted: Resource) -> str:
    """The type in Azure's casing.

    Source: the text is that of MSOpenTech/azure-xplat-cli#433; the code is believed.
    """
    given = wanted.properties.get("nextHopType") or ""
    for known in (*NEXT_HOPS, *AZURES_NEXT_HOPS):
        if given.lower() == known.lower():
            if known in AZURES_NEXT_HOPS:
                raise not_emulated(f"routes to the next hop type {known}; it has {', '.join(NEXT_HOPS)}")
            return known
    message = f"Cannot parse the request: properties.nextHopType must be one of {', '.join(NEXT_HOPS)}."
    raise ArmError(400, "InvalidRequestFormat", message, target="properties.nextHopType")


def _check_address(wanted: Resource) -> None:
    """See that a virtual appliance has an address, and nothing else.

    Source: MissingNextHopIpAddress in hashicorp/terraform-provider-azurerm#20365, NextHopIpAddressNotAllowed
    in Azure's documentation of application gateways' subnets, InvalidNextHopIpAddress in the tests of
    azure-powershell (for loopback and multicast addresses; for what is no address, believed).
    """
    kind, given = wanted.properties["nextHopType"], wanted.properties.get("nextHopIpAddress")
    name = wanted.id.name
    if kind != APPLIANCE:
        if given:
            message = f"NextHopIpAddress is not allowed in route {name} when NextHopType is {kind}."
            raise ArmError(400, "NextHopIpAddressNotAllowed", message)
        return
    if not given:
        message = f"NextHopIpAddress cannot be Null or Empty in route {name} when NextHopType is {kind}."
        raise ArmError(400, "MissingNextHopIpAddress", message)
    if ":" in given:
        raise not_emulated("IPv6 in user-defined routes")
    try:
        address = IPv4Address(given)
    except AddressValueError:
        address = None
    if address is None or address.is_loopback or address.is_multicast or address.is_unspecified:
        message = f"The next hop IP address '{given}' of route {name} is not valid for the type '{kind}'."
        raise ArmError(400, "InvalidNextHopIpAddress", message)


TYPE = ResourceType(
    "Microsoft.Network/routeTables/routes",
    write_s=3,
    delete_s=3,
    shape=dict.fromkeys(("addressPrefix", "nextHopType", "nextHopIpAddress"), str),
    read_only=("hasBgpOverride",),
    check=check,
    show=show,
)
