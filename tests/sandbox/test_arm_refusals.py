"""Requests that Azure refuses: one row a mistake."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox import arm_fixtures as make
from tests.sandbox.arm_fixtures import CREDENTIALS, Azure, control_plane

SUBSCRIPTION = f"/subscriptions/{CREDENTIALS.subscription_id}"
GROUP = f"{SUBSCRIPTION}/resourceGroups/rg"
NETWORK = f"{GROUP}/providers/Microsoft.Network"
COMPUTE = f"{GROUP}/providers/Microsoft.Compute"
VNET = f"{NETWORK}/virtualNetworks/vnet"
SUBNET = f"{VNET}/subnets/nodes"
MACHINE = f"{COMPUTE}/virtualMachines/vm"
FREE_NIC = f"{NETWORK}/networkInterfaces/free"


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azure]:
    """One of everything in eastus: a refused request changes nothing, so all rows share it."""
    directory: Path = tmp_path_factory.mktemp("arm")
    with control_plane(directory) as found:
        found.resources.resource_groups.create_or_update("rg", {"location": "eastus"})
        make.security_group(found)
        found.raw("PUT", f"{NETWORK}/networkSecurityGroups/nsg/securityRules/ssh", rule(priority=100))
        make.security_group(found, "nsg-west", location="westus")
        found.raw("PUT", f"{NETWORK}/routeTables/rt", located())
        found.raw("PUT", f"{NETWORK}/routeTables/rt/routes/taken", route(addressPrefix="10.8.0.0/24"))
        make.virtual_network(found)
        make.virtual_network(found, "peer", "10.2.0.0/16")
        make.virtual_network(found, "same", "10.1.0.0/16")
        found.raw("PUT", f"{VNET}/virtualNetworkPeerings/to-peer", peering("peer"))
        public = make.public_address(found)
        nic = make.interface(found, "nic", SUBNET, address="10.1.1.4", public_id=public.id)
        make.interface(found, "free", SUBNET)
        disk = {"location": "eastus", "properties": {"creationData": {"createOption": "Empty"}}}
        disk["properties"]["diskSizeGB"] = 10
        found.compute.disks.begin_create_or_update("rg", "data", disk).result()
        attached = {"lun": 0, "createOption": "Attach", "managedDisk": {"id": f"{COMPUTE}/disks/data"}}
        body = make.machine_body(nic.id, custom_data="I2Nsb3VkLWNvbmZpZwo=")
        body["properties"]["storageProfile"]["dataDisks"] = [attached]
        found.compute.virtual_machines.begin_create_or_update("rg", "vm", body).result()
        yield found


def rule(**changes: Any) -> dict[str, Any]:
    """Describe a security rule for SSH."""
    properties = {
        "priority": 200,
        "direction": "Inbound",
        "access": "Allow",
        "protocol": "Tcp",
        "sourceAddressPrefix": "*",
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRange": "22",
    }
    return {
        "properties": {name: value for name, value in (properties | changes).items() if value is not None}
    }


def route(**changes: str | None) -> dict[str, Any]:
    """Describe a route to a virtual appliance."""
    properties = {"addressPrefix": "10.9.0.0/24", "nextHopType": "VirtualAppliance"}
    given = properties | {"nextHopIpAddress": "10.1.1.4"} | changes
    return {"properties": {name: value for name, value in given.items() if value is not None}}


def peering(name: str, **changes: Any) -> dict[str, Any]:
    """Describe one half of a peering."""
    remote = {"id": f"{NETWORK}/virtualNetworks/{name}"}
    return {"properties": {"remoteVirtualNetwork": remote, **changes}}


def network(prefix: str, **subnets: str) -> dict[str, Any]:
    """Describe a virtual network."""
    given = [{"name": name, "properties": {"addressPrefix": value}} for name, value in subnets.items()]
    properties = {"addressSpace": {"addressPrefixes": [prefix]}, "subnets": given}
    return {"location": "eastus", "properties": properties}


def subnet(prefix: str, **more: Any) -> dict[str, Any]:
    """Describe a subnet."""
    return {"properties": {"addressPrefix": prefix, **more}}


def located(location: str = "eastus", **properties: Any) -> dict[str, Any]:
    """Describe a resource in a region."""
    return {"location": location, "properties": properties}


def machine(**changes: Any) -> dict[str, Any]:
    """Describe a new machine on the free interface, with some properties replaced."""
    body = make.machine_body(FREE_NIC, "new")
    for dotted, value in changes.items():
        *path, last = dotted.split("__")
        place = body["properties"]
        for step in path:
            place = place[step]
        place[last] = value
    return body


def nic(**options: Any) -> dict[str, Any]:
    """Describe a network interface in the subnet."""
    return make.interface_body(options.pop("subnet_id", SUBNET), **options)


def standard(**properties: Any) -> dict[str, Any]:
    """Describe a Standard public address."""
    return located(**{"publicIPAllocationMethod": "Static", **properties}) | {"sku": {"name": "Standard"}}


NSG = f"{NETWORK}/networkSecurityGroups"
RULE = f"{NSG}/nsg/securityRules/new"
NIC = f"{NETWORK}/networkInterfaces/new"
PIP = f"{NETWORK}/publicIPAddresses/new"
DISK = f"{COMPUTE}/disks/new"
NEW = f"{COMPUTE}/virtualMachines/new"
PEERING = f"{VNET}/virtualNetworkPeerings/new"
WEST_NSG = {"id": f"{NSG}/nsg-west"}
NO_NSG = {"id": f"{NSG}/absent"}
LONG = {str(number): "x" for number in range(51)}
IMAGE = {"publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest"}
NOT_OURS = {"id": f"{NSG}/nsg"}
DATA = {"id": f"{COMPUTE}/disks/data"}

ROUTE = f"{NETWORK}/routeTables/rt/routes/new"
MANY_ROUTES = [{"name": f"r{n}", **route(addressPrefix=f"10.{n // 250}.{n % 250}.0/24")} for n in range(401)]
MANY = [{"name": f"r{number}", **rule(priority=100 + number)} for number in range(1001)]
REFUSED: list[tuple[str, str, Any, int, str]] = [
    # resource groups
    ("PUT", f"{SUBSCRIPTION}/resourcegroups/new", {}, 400, "LocationRequired"),
    ("PUT", f"{SUBSCRIPTION}/resourcegroups/new", {"location": "mars"}, 400,
     "LocationNotAvailableForResourceGroup"),
    ("PUT", f"{SUBSCRIPTION}/resourcegroups/rg", {"location": "westus"}, 409, "InvalidResourceGroupLocation"),
    ("PUT", f"{SUBSCRIPTION}/resourcegroups/dot.", {"location": "eastus"}, 400, "InvalidResourceGroup"),
    ("GET", f"{SUBSCRIPTION}/resourcegroups/absent", None, 404, "ResourceGroupNotFound"),
    ("DELETE", f"{SUBSCRIPTION}/resourcegroups/absent", None, 404, "ResourceGroupNotFound"),
    ("GET", f"{SUBSCRIPTION}/resourcegroups/absent/resources", None, 404, "ResourceGroupNotFound"),
    ("POST", f"{SUBSCRIPTION}/resourcegroups/rg", {}, 400, "NotEmulatedBySandbox"),
    # every type
    ("PUT", NSG.replace("/rg/", "/absent/") + "/new", located(), 404, "ResourceGroupNotFound"),
    ("PUT", f"{NSG}/new", {"properties": {}}, 400, "LocationRequired"),
    ("PUT", f"{NSG}/new", located("mars"), 400, "LocationNotAvailableForResourceType"),
    ("PUT", f"{NSG}/nsg", located("westus"), 409, "InvalidResourceLocation"),
    ("PUT", f"{NSG}/-new", located(), 400, "InvalidResourceName"),
    ("PUT", f"{NSG}/new", located() | {"tags": LONG}, 400, "InvalidTags"),
    ("PUT", f"{NSG}/new", located() | {"tags": {"a": "x" * 257}}, 400, "TagValueTooLarge"),
    ("PUT", f"{NSG}/new", located() | {"tags": {"a<b": "x"}}, 400, "InvalidTagNameCharacters"),
    ("PUT", f"{NSG}/new", located() | {"tags": {"a": 1}}, 400, "InvalidRequestContent"),
    ("PUT", f"{NSG}/new", located() | {"zones": ["1"]}, 400, "ResourceTypeNotSupportAvailabilityZones"),
    ("PUT", f"{NSG}/new", b"{not json", 400, "InvalidRequestContent"),
    ("PUT", f"{NSG}/new", [], 400, "InvalidRequestContent"),
    ("GET", f"{NSG}/absent", None, 404, "ResourceNotFound"),
    ("GET", f"{NSG}/nsg/securityRules/absent", None, 404, "NotFound"),
    ("GET", f"{NSG}/absent/securityRules/absent", None, 404, "ParentResourceNotFound"),
    ("GET", f"{NSG}/absent/securityRules", None, 404, "ResourceNotFound"),
    ("PUT", f"{NSG}/absent/securityRules/new", rule(), 404, "ParentResourceNotFound"),
    ("PATCH", f"{NSG}/absent", {"tags": {}}, 404, "ResourceNotFound"),
    ("POST", f"{NSG}/nsg/start", None, 400, "NotEmulatedBySandbox"),
    ("POST", f"{NSG}/nsg", {}, 405, "MethodNotAllowed"),
    # security rules
    ("PUT", RULE, rule(priority=100), 400, "SecurityRuleConflict"),
    ("PUT", RULE, rule(priority=99), 400, "SecurityRuleInvalidPriority"),
    ("PUT", RULE, rule(priority=4097), 400, "SecurityRuleInvalidPriority"),
    ("PUT", RULE, rule(destinationPortRange="22,80"), 400, "SecurityRuleInvalidPortRange"),
    ("PUT", RULE, rule(destinationPortRange="9-1"), 400, "SecurityRuleInvalidPortRange"),
    ("PUT", RULE, rule(destinationPortRange="70000"), 400, "SecurityRuleInvalidPortRange"),
    ("PUT", RULE, rule(sourceAddressPrefix="10.0.0.1/27"), 400, "SecurityRuleInvalidAddressPrefix"),
    ("PUT", RULE, rule(sourceAddressPrefix=None), 400, "SecurityRuleParametersMissing"),
    ("PUT", RULE, rule(protocol="Sctp"), 400, "SecurityRuleParameterContainsUnsupportedValue"),
    ("PUT", RULE, rule(access=None), 400, "SecurityRuleParametersMissing"),
    ("PUT", RULE, rule(sourceAddressPrefix="Storage.EastUS"), 400, "NotEmulatedBySandbox"),
    ("PUT", RULE, rule(sourceAddressPrefix="fd00::/8"), 400, "NotEmulatedBySandbox"),
    ("PUT", RULE, rule(sourceAddressPrefix="Nonsense"), 400, "SecurityRuleInvalidAddressPrefix"),
    ("PUT", RULE, rule(sourceAddressPrefix="VIRTUAL_NETWORK"), 400, "SecurityRuleInvalidAddressPrefix"),
    ("PUT", RULE, rule(sourceAddressPrefixes=["10.0.0.0/8", "VirtualNetwork"]), 400,
     "SecurityRuleParameterContainsUnsupportedValue"),
    ("PUT", RULE, rule(sourceAddressPrefixes=["*"]), 400, "SecurityRuleParameterContainsUnsupportedValue"),
    ("PUT", RULE, rule(sourceAddressPrefixes=["1.1.0.0/24", "1.1.0.22/32"]), 400,
     "OverlappingSubnetsNotPermittedInSecurityRule"),
    ("PUT", RULE, rule(protocol="Esp"), 400, "NotEmulatedBySandbox"),
    ("PUT", RULE, rule(sourceApplicationSecurityGroups=[{}]), 400, "NotEmulatedBySandbox"),
    ("PUT", f"{NSG}/new", located(securityRules=[{"name": "a", **rule()}, {"name": "b", **rule()}]), 400,
     "SecurityRuleConflict"),
    ("PUT", f"{NSG}/new", located(securityRules=MANY), 400, "SecurityRuleCountLimitReached"),
    # route tables
    ("PUT", ROUTE, route(addressPrefix=None), 400, "InvalidAddressPrefixFormat"),
    ("PUT", ROUTE, route(addressPrefix="10.9.0.0"), 400, "InvalidAddressPrefixFormat"),
    ("PUT", ROUTE, route(addressPrefix="10.9.0.0/33"), 400, "InvalidCIDRNotation"),
    ("PUT", ROUTE, route(addressPrefix="10.9.0.1/24"), 400, "InvalidCIDRNotation"),
    ("PUT", ROUTE, route(addressPrefix="fd00::/8"), 400, "NotEmulatedBySandbox"),
    ("PUT", ROUTE, route(addressPrefix="AzureCloud.EastUS"), 400, "NotEmulatedBySandbox"),
    ("PUT", ROUTE, route(addressPrefix="10.8.0.0/24"), 400, "RouteConflict"),
    ("PUT", ROUTE, route(nextHopType=None), 400, "InvalidRequestFormat"),
    ("PUT", ROUTE, route(nextHopType="Null"), 400, "InvalidRequestFormat"),
    ("PUT", ROUTE, route(nextHopType="VirtualNetworkGateway", nextHopIpAddress=None), 400,
     "NotEmulatedBySandbox"),
    ("PUT", ROUTE, route(nextHopType="VirtualApplianceEcmp"), 400, "NotEmulatedBySandbox"),
    ("PUT", ROUTE, route(nextHopType="Internet"), 400, "NextHopIpAddressNotAllowed"),
    ("PUT", ROUTE, route(nextHopIpAddress=None), 400, "MissingNextHopIpAddress"),
    ("PUT", ROUTE, route(nextHopIpAddress=""), 400, "MissingNextHopIpAddress"),
    ("PUT", ROUTE, route(nextHopIpAddress="10.1.1"), 400, "InvalidNextHopIpAddress"),
    ("PUT", ROUTE, route(nextHopIpAddress="127.0.0.1"), 400, "InvalidNextHopIpAddress"),
    ("PUT", ROUTE, route(nextHopIpAddress="224.0.0.1"), 400, "InvalidNextHopIpAddress"),
    ("PUT", ROUTE, route(nextHopIpAddress="fd00::1"), 400, "NotEmulatedBySandbox"),
    ("PUT", f"{NETWORK}/routeTables/new", located(routes=[{"name": name, **route()} for name in "ab"]), 400,
     "RouteConflict"),
    ("PUT", f"{NETWORK}/routeTables/new", located(routes=MANY_ROUTES), 400, "RouteCountLimitReached"),
    ("PUT", f"{NETWORK}/routeTables/absent/routes/new", route(), 404, "ParentResourceNotFound"),
    ("GET", f"{NETWORK}/routeTables/rt/routes/absent", None, 404, "NotFound"),
    # virtual networks and subnets
    ("PUT", f"{NETWORK}/virtualNetworks/new", located(), 400, "VnetAddressSpaceNotSpecified"),
    ("PUT", f"{NETWORK}/virtualNetworks/new", network("10.1.0.0/99"), 400, "InvalidCIDRNotation"),
    ("PUT", f"{NETWORK}/virtualNetworks/new", network("10.9.0.0/16", a="10.8.0.0/24"), 400,
     "NetcfgSubnetRangeOutsideVnet"),
    ("PUT", f"{NETWORK}/virtualNetworks/new", network("10.9.0.0/16", a="10.9.0.0/24", b="10.9.0.0/25"), 400,
     "NetcfgSubnetRangesOverlap"),
    ("PUT", VNET, network("10.1.0.0/16"), 400, "InUseSubnetCannotBeDeleted"),
    ("PUT", VNET, network("10.1.0.0/16", nodes="10.1.7.0/24"), 400, "InUsePrefixCannotBeDeleted"),
    ("PUT", VNET, network("10.0.0.0/8", nodes="10.1.1.0/24"), 400, "NotEmulatedBySandbox"),
    ("PUT", f"{VNET}/subnets/new", subnet("10.1.1.128/25"), 400, "NetcfgSubnetRangesOverlap"),
    ("PUT", f"{VNET}/subnets/new", subnet("10.1.2.0/30"), 400, "NetcfgInvalidSubnet"),
    ("PUT", f"{VNET}/subnets/new", subnet("fd00::/64"), 400, "NotEmulatedBySandbox"),
    ("PUT", f"{VNET}/subnets/new", subnet("10.1.2.0/24", networkSecurityGroup=WEST_NSG), 400,
     "InvalidResourceReference"),
    ("PUT", f"{VNET}/subnets/new", subnet("10.1.2.0/24", networkSecurityGroup=NO_NSG), 400,
     "InvalidResourceReference"),
    ("PUT", f"{VNET}/subnets/new", subnet("10.1.2.0/24", routeTable=NOT_OURS), 400,
     "InvalidResourceReference"),
    ("PUT", f"{VNET}/subnets/new", subnet("10.1.2.0/24", natGateway=NOT_OURS), 400, "NotEmulatedBySandbox"),
    ("DELETE", SUBNET, None, 400, "InUseSubnetCannotBeDeleted"),
    ("DELETE", VNET, None, 400, "InUseSubnetCannotBeDeleted"),
    # peerings
    ("PUT", PEERING, peering("absent"), 400, "InvalidResourceReference"),
    ("PUT", PEERING, peering("same"), 400, "VnetAddressSpacesOverlap"),
    ("PUT", PEERING, peering("vnet"), 400, "CannotPeerVnetWithItself"),
    ("PUT", PEERING, peering("peer"), 400, "AnotherPeeringAlreadyReferencesRemoteVnet"),
    ("PUT", f"{NETWORK}/virtualNetworks/peer/virtualNetworkPeerings/to-same", peering("vnet",
     useRemoteGateways=True), 400, "NotEmulatedBySandbox"),
    # public addresses
    ("PUT", PIP, standard(publicIPAllocationMethod="Dynamic"), 400,
     "StandardAndStandardV2SkuPublicIPAddressesMustBeStatic"),
    ("PUT", PIP, located(publicIPAllocationMethod="Static"), 400, "IPv4BasicSkuPublicIpCountLimitReached"),
    ("PUT", PIP, standard() | {"location": "westus", "zones": ["1"]}, 400,
     "ResourceTypeNotSupportAvailabilityZones"),
    ("PUT", PIP, standard() | {"zones": ["4"]}, 400, "InvalidAvailabilityZone"),
    ("DELETE", f"{NETWORK}/publicIPAddresses/pip", None, 400, "PublicIPAddressCannotBeDeleted"),
    # network interfaces
    ("PUT", NIC, nic(address="10.1.2.4"), 400, "PrivateIPAddressNotInSubnet"),
    ("PUT", NIC, nic(address="10.1.1.3"), 400, "PrivateIPAddressInReservedRange"),
    ("PUT", NIC, nic(address="10.1.1.255"), 400, "PrivateIPAddressInReservedRange"),
    ("PUT", NIC, nic(address="10.1.1.4"), 400, "PrivateIPAddressIsAllocated"),
    ("PUT", NIC, nic(public_id=f"{NETWORK}/publicIPAddresses/pip"), 400, "PublicIPAddressInUse"),
    ("PUT", NIC, nic(public_id=f"{NETWORK}/publicIPAddresses/absent"), 400, "InvalidResourceReference"),
    ("PUT", NIC, nic(subnet_id=f"{VNET}/subnets/absent"), 400, "InvalidResourceReference"),
    ("PUT", NIC, nic(location="westus"), 400, "InvalidResourceReference"),
    ("PUT", NIC, located(ipConfigurations=[{"name": "a", "properties": {}}]), 400, "SubnetIsRequired"),
    ("PUT", NIC, located(), 400, "NetworkInterfaceMustHaveIpConfiguration"),
    ("DELETE", f"{NETWORK}/networkInterfaces/nic", None, 400, "NicInUse"),
    # disks
    ("PUT", DISK, located(creationData={"createOption": "Empty"}), 400, "InvalidParameter"),
    ("PUT", DISK, located(diskSizeGB=10), 400, "InvalidParameter"),
    ("PUT", DISK, located(diskSizeGB=10, creationData={"createOption": "Copy"}), 400, "NotEmulatedBySandbox"),
    ("PUT", f"{COMPUTE}/disks/data", located(diskSizeGB=5, creationData={"createOption": "Empty"}), 409,
     "OperationNotAllowed"),
    ("DELETE", f"{COMPUTE}/disks/data", None, 409, "OperationNotAllowed"),
    # machines
    ("PUT", NEW, machine(hardwareProfile={}), 400, "InvalidParameter"),
    ("PUT", NEW, machine(osProfile__adminUsername="root"), 400, "InvalidParameter"),
    ("PUT", NEW, machine(osProfile__computerName="has_underscore"), 400, "InvalidParameter"),
    ("PUT", NEW, machine(osProfile__customData="not base64!"), 400, "InvalidParameter"),
    ("PUT", NEW, machine(osProfile__customData="I2Nsb3VkLWNvbmZpZwpzbmFwOiB7fQo="), 400,
     "NotEmulatedBySandbox"),
    ("PUT", NEW, machine(osProfile__adminPassword="secret"), 400, "NotEmulatedBySandbox"),
    ("PUT", NEW, machine(storageProfile__imageReference=IMAGE), 400, "NotEmulatedBySandbox"),
    ("PUT", NEW, machine(networkProfile={"networkInterfaces": [{"id": f"{NETWORK}/networkInterfaces/nic"}]}),
     400, "NicInUse"),
    ("PUT", NEW, machine(storageProfile__dataDisks=[{"lun": 0, "managedDisk": DATA}]), 409,
     "AttachDiskWhileBeingDetached"),
    ("PUT", NEW, machine() | {"location": "westus"}, 400, "InvalidResourceReference"),
    ("PUT", NEW, machine(availabilitySet={"id": f"{COMPUTE}/availabilitySets/absent"}), 400,
     "InvalidResourceReference"),
    ("PATCH", MACHINE, {"properties": {}}, 400, "NotEmulatedBySandbox"),
    ("POST", f"{COMPUTE}/virtualMachines/absent/start", None, 404, "ResourceNotFound"),
    ("POST", f"{MACHINE}/reimage", None, 400, "NotEmulatedBySandbox"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"), REFUSED, ids=[row[4] for row in REFUSED]
)
def test_a_mistake_is_refused_with_azures_code_and_leaves_no_trace(
    azure: Azure, method: str, path: str, body: Any, status: int, code: str
) -> None:
    _, before, _ = azure.raw("GET", f"{SUBSCRIPTION}/resources")
    answer = azure.raw(method, path, body)
    assert (answer[0], answer[1]["error"]["code"]) == (status, code), answer[1]
    assert answer[1]["error"]["message"]
    _, after, _ = azure.raw("GET", f"{SUBSCRIPTION}/resources")
    assert after == before


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({"osProfile__customData": "I2Nsb3VkLWNvbmZpZwojCg=="}, "customData"),
        ({"osProfile__computerName": "other"}, "osProfile.computerName"),
        ({"osProfile__adminUsername": "other"}, "osProfile.adminUsername"),
        ({"storageProfile__osDisk": {"createOption": "FromImage", "name": "other"}}, "osDisk.name"),
    ],
)
def test_what_is_fixed_when_a_machine_is_made_cannot_change(
    azure: Azure, changes: dict[str, Any], target: str
) -> None:
    body = azure.raw("GET", MACHINE)[1]
    for dotted, value in changes.items():
        section, name = dotted.split("__")
        body["properties"][section][name] = value
    if "osProfile__adminUsername" in changes:
        del body["properties"]["osProfile"]["linuxConfiguration"]["ssh"]["publicKeys"][0]["path"]
    status, answer, _ = azure.raw("PUT", MACHINE, body)
    assert (status, answer["error"]["code"]) == (409, "PropertyChangeNotAllowed")
    assert answer["error"]["target"] == target


@pytest.mark.parametrize(
    ("version", "code"),
    [
        (None, "MissingApiVersionParameter"),
        ("newest", "InvalidApiVersionParameter"),
        ("2023-04-02", "InvalidApiVersionParameter"),
    ],
)
def test_an_api_version_that_arm_knows_is_required(azure: Azure, version: str | None, code: str) -> None:
    status, answer, _ = azure.raw("GET", f"{SUBSCRIPTION}/resourcegroups", version=version)
    assert (status, answer["error"]["code"]) == (400, code)


@pytest.mark.parametrize(
    ("path", "newest"),
    [
        (NSG, "2026-03-01"),
        (f"{NSG}/nsg", "2026-03-01"),
        (f"{NSG}/nsg/securityRules/ssh", "2026-03-01"),
        (MACHINE, "2026-04-01"),
        (f"{COMPUTE}/disks/data", "2026-03-02"),
    ],
)
def test_an_api_version_of_another_provider_is_refused_with_the_list_of_those_there_are(
    azure: Azure, path: str, newest: str
) -> None:
    status, answer, _ = azure.raw("GET", path, version="2013-03-01")
    assert (status, answer["error"]["code"]) == (400, "NoRegisteredProviderFound")
    assert f"{newest}'. The supported locations are" in answer["error"]["message"]
    assert azure.raw("GET", path, version=newest)[0] == 200


def test_a_filter_that_is_not_understood_is_refused_rather_than_ignored(azure: Azure) -> None:
    with make.refused("InvalidFilterInQueryString", 400):
        list(azure.resources.resources.list(filter="startswith(name,'a')"))
