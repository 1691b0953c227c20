"""Networks, subnets, peerings, interfaces, addresses: what Azure does with them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox import arm_fixtures as make
from tests.sandbox.arm_fixtures import Azure, control_plane, refused


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Azure]:
    with control_plane(tmp_path) as found:
        found.resources.resource_groups.create_or_update("rg", {"location": "eastus"})
        yield found


def peer(azure: Azure, here: str, there: str, **more: Any) -> Any:
    """Make one half of a peering."""
    remote = {"id": azure.id("rg", f"virtualNetworks/{there}")}
    body = {"properties": {"remoteVirtualNetwork": remote, **more}}
    peerings = azure.network.virtual_network_peerings
    return peerings.begin_create_or_update("rg", here, f"to-{there}", body).result()


def unpeer(azure: Azure, here: str, there: str) -> None:
    """Delete one half of a peering."""
    azure.network.virtual_network_peerings.begin_delete("rg", here, f"to-{there}").result()


def state(azure: Azure, here: str, there: str) -> Any:
    """The state of one half."""
    return azure.network.virtual_network_peerings.get("rg", here, f"to-{there}").peering_state


@pytest.fixture
def pair(azure: Azure) -> Azure:
    make.virtual_network(azure, "a", "10.1.0.0/16", location="eastus")
    make.virtual_network(azure, "b", "10.2.0.0/16", location="westus")
    return azure


def test_a_security_group_shows_its_default_rules_and_its_users(azure: Azure) -> None:
    group = make.security_group(azure)
    assert [(rule.priority, rule.name) for rule in group.default_security_rules] == [
        (65000, "AllowVnetInBound"),
        (65001, "AllowAzureLoadBalancerInBound"),
        (65500, "DenyAllInBound"),
        (65000, "AllowVnetOutBound"),
        (65001, "AllowInternetOutBound"),
        (65500, "DenyAllOutBound"),
    ]
    subnet = {"properties": {"addressPrefix": "10.1.1.0/24", "networkSecurityGroup": {"id": group.id}}}
    make.virtual_network(azure, subnets={})
    azure.network.subnets.begin_create_or_update("rg", "vnet", "nodes", subnet).result()
    found = azure.network.network_security_groups.get("rg", "nsg")
    assert [used.id for used in found.subnets] == [azure.id("rg", "virtualNetworks/vnet/subnets/nodes")]
    with refused("InUseNetworkSecurityGroupCannotBeDeleted", 400):
        azure.network.network_security_groups.begin_delete("rg", "nsg")
    azure.network.virtual_networks.begin_delete("rg", "vnet").result()
    azure.network.network_security_groups.begin_delete("rg", "nsg").result()


def test_a_route_table_in_use_cannot_be_deleted(azure: Azure) -> None:
    table = azure.network.route_tables.begin_create_or_update("rg", "rt", {"location": "eastus"}).result()
    make.virtual_network(azure, subnets={})
    subnet = {"properties": {"addressPrefix": "10.1.1.0/24", "routeTable": {"id": table.id}}}
    azure.network.subnets.begin_create_or_update("rg", "vnet", "nodes", subnet).result()
    with refused("InUseRouteTableCannotBeDeleted", 400):
        azure.network.route_tables.begin_delete("rg", "rt")


def test_rules_are_written_whole_with_their_group_or_one_by_one(azure: Azure) -> None:
    def rule(name: str, priority: int) -> dict[str, Any]:
        properties = {"priority": priority, "direction": "Inbound", "access": "Allow", "protocol": "*"}
        properties |= dict.fromkeys(("sourceAddressPrefix", "destinationAddressPrefix"), "*")
        properties |= dict.fromkeys(("sourcePortRange", "destinationPortRange"), "*")
        return {"name": name, "properties": properties}

    groups, rules = azure.network.network_security_groups, azure.network.security_rules
    body = {"location": "eastus", "properties": {"securityRules": [rule("a", 100), rule("b", 110)]}}
    groups.begin_create_or_update("rg", "nsg", body).result()
    rules.begin_create_or_update("rg", "nsg", "c", rule("c", 120)).result()
    assert [one.name for one in groups.get("rg", "nsg").security_rules] == ["a", "b", "c"]
    # two rules swap their priorities in one write: the sandbox judges the outcome, as Azure does
    swapped = {"location": "eastus", "properties": {"securityRules": [rule("a", 110), rule("b", 100)]}}
    found = groups.begin_create_or_update("rg", "nsg", swapped).result()
    assert {one.name: one.priority for one in found.security_rules} == {"a": 110, "b": 100}
    rules.begin_delete("rg", "nsg", "a").result()
    assert [one.name for one in rules.list("rg", "nsg")] == ["b"]


def test_a_network_put_without_subnets_deletes_them(azure: Azure) -> None:
    make.virtual_network(azure)
    network = make.virtual_network(azure, subnets={})
    assert not network.subnets


def test_a_network_put_leaves_peerings_alone(pair: Azure) -> None:
    peer(pair, "a", "b")
    assert [one.name for one in make.virtual_network(pair, "a", "10.1.0.0/16").virtual_network_peerings] == [
        "to-b"
    ]


def test_a_peering_is_initiated_until_both_halves_exist(pair: Azure) -> None:
    first = peer(pair, "a", "b")
    assert (first.peering_state, first.peering_sync_level) == ("Initiated", "RemoteNotInSync")
    second = peer(pair, "b", "a", allowForwardedTraffic=True)
    assert (second.peering_state, second.peering_sync_level) == ("Connected", "FullyInSync")
    assert second.allow_virtual_network_access
    assert second.allow_forwarded_traffic
    assert second.remote_address_space.address_prefixes == ["10.1.0.0/16"]
    assert state(pair, "a", "b") == "Connected"


def test_writing_a_connected_half_again_keeps_it_connected(pair: Azure) -> None:
    for here, there in (("a", "b"), ("b", "a"), ("a", "b")):
        found = peer(pair, here, there)
    assert found.peering_state == "Connected"


def test_deleting_one_half_disconnects_the_other_until_that_is_written_again(pair: Azure) -> None:
    peer(pair, "a", "b")
    peer(pair, "b", "a")
    unpeer(pair, "b", "a")
    assert state(pair, "a", "b") == "Disconnected"
    with refused("RemotePeeringIsDisconnected", 400):
        peer(pair, "b", "a")
    assert peer(pair, "a", "b").peering_state == "Initiated"
    assert peer(pair, "b", "a").peering_state == "Connected"


def test_deleting_a_network_disconnects_its_peers(pair: Azure) -> None:
    peer(pair, "a", "b")
    peer(pair, "b", "a")
    pair.network.virtual_networks.begin_delete("rg", "b").result()
    assert state(pair, "a", "b") == "Disconnected"
    make.virtual_network(pair, "b", "10.2.0.0/16", location="westus")
    with refused("RemotePeeringIsDisconnected", 400):
        peer(pair, "b", "a")


def test_a_network_cannot_be_peered_with_two_that_overlap(pair: Azure) -> None:
    make.virtual_network(pair, "c", "10.2.0.0/16")
    peer(pair, "a", "b")
    with refused("VnetAddressSpaceOverlapsWithAlreadyPeeredVnet", 400):
        peer(pair, "a", "c")


def test_a_network_does_one_thing_at_a_time(tmp_path: Path) -> None:
    with control_plane(tmp_path, latency=1.0) as azure:
        azure.resources.resource_groups.create_or_update("rg", {"location": "eastus"})
        for name, prefix in (("a", "10.1.0.0/16"), ("b", "10.2.0.0/16")):
            body = {"location": "eastus", "properties": {"addressSpace": {"addressPrefixes": [prefix]}}}
            assert azure.raw("PUT", azure.id("rg", f"virtualNetworks/{name}"), body)[0] == 201
        remote = {"properties": {"remoteVirtualNetwork": {"id": azure.id("rg", "virtualNetworks/b")}}}
        path = azure.id("rg", "virtualNetworks/a/virtualNetworkPeerings/to-b")
        azure.clock.now += 5
        assert azure.raw("PUT", path, remote)[0] == 201
        status, answer, _ = azure.raw("PUT", path, remote)
        assert (status, answer["error"]["code"]) == (409, "AnotherOperationInProgress")
        status, answer, _ = azure.raw("DELETE", azure.id("rg", "virtualNetworks/a"))
        assert (status, answer["error"]["code"]) == (409, "AnotherOperationInProgress")


def test_a_dynamic_address_is_the_lowest_free_one_and_stays(azure: Azure) -> None:
    subnet = make.virtual_network(azure).subnets[0].id
    make.interface(azure, "static", subnet, address="10.1.1.5")
    first, second = make.interface(azure, "one", subnet), make.interface(azure, "two", subnet)
    found = [nic.ip_configurations[0].private_ip_address for nic in (first, second)]
    assert found == ["10.1.1.4", "10.1.1.6"]
    azure.network.network_interfaces.begin_delete("rg", "one").result()
    again = make.interface(azure, "two", subnet)
    assert again.ip_configurations[0].private_ip_address == "10.1.1.6"


def test_a_full_subnet_has_no_address_left(azure: Azure) -> None:
    subnet = make.virtual_network(azure, subnets={"small": "10.1.1.0/29"}).subnets[0].id
    for name in ("a", "b", "c"):
        make.interface(azure, name, subnet)
    with refused("SubnetIsFull", 400):
        make.interface(azure, "d", subnet)


def test_an_interface_can_give_up_its_public_address(azure: Azure) -> None:
    subnet = make.virtual_network(azure).subnets[0].id
    public = make.public_address(azure)
    nic = make.interface(azure, "nic", subnet, public_id=public.id)
    found = azure.network.public_ip_addresses.get("rg", "pip")
    assert found.ip_configuration.id == f"{nic.id}/ipConfigurations/primary"
    make.interface(azure, "nic", subnet)
    assert azure.network.public_ip_addresses.get("rg", "pip").ip_configuration is None
    azure.network.public_ip_addresses.begin_delete("rg", "pip").result()


def test_public_addresses_come_from_the_instances_own_network(azure: Azure) -> None:
    found = [make.public_address(azure, f"pip{number}").ip_address for number in range(3)]
    assert found == ["198.18.16.32", "198.18.16.33", "198.18.16.34"]


def test_a_released_public_address_is_not_given_to_the_next_one(azure: Azure) -> None:
    first = make.public_address(azure).ip_address
    azure.network.public_ip_addresses.begin_delete("rg", "pip").result()
    assert make.public_address(azure).ip_address != first


def test_public_addresses_run_out(azure: Azure) -> None:
    cloud = azure.app.cloud
    size = int(cloud.instance.public_network.broadcast_address) - int(cloud.instance.first_machine_address)
    cloud.next_public_offset = size - 1
    assert make.public_address(azure, "last").ip_address == "198.18.31.254"
    assert make.public_address(azure, "first").ip_address == "198.18.16.32"


def test_what_is_still_being_written_cannot_be_built_upon_yet(tmp_path: Path) -> None:
    with control_plane(tmp_path, latency=1.0) as azure:
        azure.resources.resource_groups.create_or_update("rg", {"location": "eastus"})
        azure.raw(
            "PUT", azure.id("rg", "networkSecurityGroups/nsg"), {"location": "eastus", "properties": {}}
        )
        vnet, far = azure.id("rg", "virtualNetworks/vnet"), azure.id("rg", "virtualNetworks/far")
        for path, prefix in ((vnet, "10.1.0.0/16"), (far, "10.2.0.0/16")):
            space = {"addressSpace": {"addressPrefixes": [prefix]}}
            azure.raw("PUT", path, {"location": "eastus", "properties": space})
            azure.clock.now += 60
        nsg = {"id": azure.id("rg", "networkSecurityGroups/nsg")}
        subnet = {"properties": {"addressPrefix": "10.1.1.0/24", "networkSecurityGroup": nsg}}
        assert azure.raw("PUT", f"{vnet}/subnets/nodes", subnet)[0] == 201
        nic = make.interface_body(f"{vnet}/subnets/nodes")
        status, answer, _ = azure.raw("PUT", azure.id("rg", "networkInterfaces/nic"), nic)
        assert (status, answer["error"]["code"]) == (429, "RetryableError")
        assert answer["error"]["details"][0]["code"] == "ReferencedResourceNotProvisioned"
        peering = {"properties": {"remoteVirtualNetwork": {"id": vnet}}}
        status, answer, _ = azure.raw("PUT", f"{far}/virtualNetworkPeerings/to-vnet", peering)
        assert (status, answer["error"]["code"]) == (400, "ReferencedResourceNotProvisioned")
        azure.clock.now += 60
        assert azure.raw("PUT", azure.id("rg", "networkInterfaces/nic"), nic)[0] == 201
        assert azure.raw("PUT", f"{far}/virtualNetworkPeerings/to-vnet", peering)[0] == 201
