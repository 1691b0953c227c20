"""From ARM's records to the network that packets see."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from sandbox.arm.fabric import describe
from sandbox.fabric.model import Network, Peering
from tests.sandbox import arm_fixtures as make
from tests.sandbox.arm_fixtures import Azure, control_plane


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Azure]:
    with control_plane(tmp_path) as found:
        found.resources.resource_groups.create_or_update("rg", {"location": "eastus"})
        yield found


class Recorder:
    """A fabric that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[Network] = []
        self.broken = False

    def apply(self, network: Network) -> None:
        if self.broken:
            raise RuntimeError("no such cable")
        self.told.append(network)


def test_an_empty_subscription_is_an_empty_network(azure: Azure) -> None:
    assert describe(azure.app.cloud.store, azure.app.cloud.faults) == Network()


def test_rules_reach_the_fabric_with_the_default_ones_behind(azure: Azure) -> None:
    properties: dict[str, Any] = {
        "priority": 100,
        "direction": "Inbound",
        "access": "Allow",
        "protocol": "TCP",
    }
    properties |= {"sourceAddressPrefixes": ["10.1.0.0/16", "10.2.0.0/16"], "sourcePortRange": "*"}
    properties |= {"destinationAddressPrefix": "VirtualNetwork", "destinationPortRanges": ["22", "80-90"]}
    group = {"location": "eastus", "properties": {"securityRules": [{"name": "r", "properties": properties}]}}
    nsg = azure.network.network_security_groups.begin_create_or_update("rg", "nsg", group).result()
    make.virtual_network(azure, subnets={})
    subnet = {"properties": {"addressPrefix": "10.1.1.0/24", "networkSecurityGroup": {"id": nsg.id}}}
    azure.network.subnets.begin_create_or_update("rg", "vnet", "nodes", subnet).result()
    (network,) = describe(azure.app.cloud.store, azure.app.cloud.faults).virtual_networks
    (found,) = network.subnets
    assert (found.prefix, network.prefixes) == (IPv4Network("10.1.1.0/24"), (IPv4Network("10.1.0.0/16"),))
    assert found.security_group is not None
    first, *default = found.security_group.rules
    assert (first.name, first.protocol, first.priority, first.access) == ("r", "Tcp", 100, "Allow")
    assert first.source_prefixes == ("10.1.0.0/16", "10.2.0.0/16")
    assert (first.source_ports, first.destination_ports) == (("*",), ("22", "80-90"))
    assert first.destination_prefixes == ("VirtualNetwork",)
    assert [rule.name for rule in default][:3] == [
        "AllowVnetInBound", "AllowAzureLoadBalancerInBound", "DenyAllInBound",
    ]  # fmt: skip


def test_an_interface_is_plugged_in_while_a_machine_has_it(azure: Azure) -> None:
    public = make.public_address(azure)
    subnet = make.virtual_network(azure).subnets[0].id
    nic = make.interface(azure, "nic", subnet, public_id=public.id)
    (found,) = describe(azure.app.cloud.store, azure.app.cloud.faults).interfaces
    assert (found.machine, found.hostname, found.ip_forwarding) == (None, None, False)
    assert (found.subnet, found.address) == (subnet.lower(), IPv4Address("10.1.1.4"))
    assert str(found.public_address) == public.ip_address
    make.machine(azure, "vm", nic.id)
    (found,) = describe(azure.app.cloud.store, azure.app.cloud.faults).interfaces
    assert found.machine
    assert (found.machine[:3], found.hostname) == ("vm-", "vm")
    azure.compute.virtual_machines.begin_delete("rg", "vm").result()
    (found,) = describe(azure.app.cloud.store, azure.app.cloud.faults).interfaces
    assert found.machine is None


def test_halves_of_peerings_reach_the_fabric_unless_disconnected(azure: Azure) -> None:
    ids = {name: make.virtual_network(azure, name, f"10.{n}.0.0/16").id for n, name in enumerate("ab", 1)}
    peerings = azure.network.virtual_network_peerings
    for here, there in (("a", "b"), ("b", "a")):
        body = {
            "properties": {"remoteVirtualNetwork": {"id": ids[there]}, "allowForwardedTraffic": here == "a"}
        }
        peerings.begin_create_or_update("rg", here, "peer", body).result()
    first, second = describe(azure.app.cloud.store, azure.app.cloud.faults).virtual_networks
    assert first.peerings == (Peering(ids["b"].lower(), allow_access=True, allow_forwarded=True),)
    assert second.peerings == (Peering(ids["a"].lower(), allow_access=True, allow_forwarded=False),)
    peerings.begin_delete("rg", "b", "peer").result()
    assert [
        network.peerings
        for network in describe(azure.app.cloud.store, azure.app.cloud.faults).virtual_networks
    ] == [(), ()]


def test_the_fabric_is_told_before_the_answer_leaves_and_only_of_changes(tmp_path: Path) -> None:
    recorder = Recorder()
    with control_plane(tmp_path, fabric=recorder) as azure:
        azure.resources.resource_groups.create_or_update("rg", {"location": "eastus"})
        body = {"location": "eastus", "properties": {"addressSpace": {"addressPrefixes": ["10.1.0.0/16"]}}}
        azure.raw("PUT", azure.id("rg", "virtualNetworks/vnet"), body)
        assert len(recorder.told[-1].virtual_networks) == 1
        count = len(recorder.told)
        azure.raw("PUT", azure.id("rg", "virtualNetworks/vnet"), body)
        make.public_address(azure)
        assert len(recorder.told) == count


def test_an_operation_is_not_over_while_the_fabric_does_not_carry_it(tmp_path: Path) -> None:
    recorder = Recorder()
    with control_plane(tmp_path, fabric=recorder) as azure:
        azure.resources.resource_groups.create_or_update("rg", {"location": "eastus"})
        recorder.broken = True
        path = azure.id("rg", "virtualNetworks/vnet")
        body = {"location": "eastus", "properties": {"addressSpace": {"addressPrefixes": ["10.1.0.0/16"]}}}
        status, answer, _ = azure.raw("PUT", path, body)
        assert (status, answer["error"]["code"]) == (500, "InternalServerError")
        assert "no such cable" in answer["error"]["message"]
        recorder.broken = False
        found = azure.network.virtual_networks.get("rg", "vnet")  # any request lets it try again
        found = azure.network.virtual_networks.get("rg", "vnet")
        assert found.provisioning_state == "Succeeded"
        assert len(recorder.told[-1].virtual_networks) == 1
