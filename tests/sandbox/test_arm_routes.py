"""Route tables and their routes, through the SDK: what Azure does with them, and what the fabric is told."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError

from sandbox.arm.fabric import describe
from sandbox.fabric.model import Subnet, UserDefinedRoute
from tests.sandbox import arm_fixtures as make
from tests.sandbox.arm_fixtures import CREDENTIALS, Azure, control_plane, refused

ONE, OTHER = ("10.10.0.0/24", "10.1.1.4"), ("10.10.1.0/24", "10.1.1.5")


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Azure]:
    with control_plane(tmp_path) as found:
        found.resources.resource_groups.create_or_update("rg", {"location": "eastus"})
        yield found


def route(prefix: str, appliance: str | None = None, **more: Any) -> dict[str, Any]:
    """Describe a route to a virtual appliance."""
    hop = {"nextHopType": "VirtualAppliance", "nextHopIpAddress": appliance} if appliance else {}
    return {"properties": {"addressPrefix": prefix, **hop, **more}}


def write_table(azure: Azure, routes: dict[str, tuple[str, str]], **options: Any) -> Any:
    """Write a route table whole."""
    given = [{"name": name, **route(*one)} for name, one in routes.items()]
    body: Any = {"location": "eastus", "properties": {"routes": given}}
    return azure.network.route_tables.begin_create_or_update("rg", "rt", body, **options).result()


def associate(azure: Azure, table_id: str | None, subnet: str = "nodes") -> None:
    """Let a subnet use a table, or none."""
    body: dict[str, Any] = {"addressPrefix": "10.1.1.0/24"}
    body |= {"routeTable": {"id": table_id}} if table_id else {}
    azure.network.subnets.begin_create_or_update("rg", "vnet", subnet, {"properties": body}).result()


def subnet_of(azure: Azure) -> Subnet:
    """What the fabric is told of the only subnet."""
    ((found,),) = [
        one.subnets for one in describe(azure.app.cloud.store, azure.app.cloud.faults).virtual_networks
    ]
    return found


def test_a_table_is_written_whole_and_read_back_as_it_was_given(azure: Azure) -> None:
    table = write_table(azure, {"one": ONE, "other": OTHER})
    assert [(found.name, found.address_prefix, found.next_hop_ip_address) for found in table.routes] == [
        ("one", *ONE),
        ("other", *OTHER),
    ]
    assert {found.next_hop_type for found in table.routes} == {"VirtualAppliance"}
    assert {found.provisioning_state for found in table.routes} == {"Succeeded"}
    assert {found.has_bgp_override for found in table.routes} == {False}
    left = write_table(azure, {"other": OTHER, "new": ("10.10.2.0/24", "10.1.1.6")})
    assert [found.name for found in left.routes] == ["other", "new"]
    swapped = write_table(azure, {"other": ("10.10.2.0/24", "10.1.1.6"), "new": OTHER})
    assert [found.address_prefix for found in swapped.routes] == ["10.10.2.0/24", "10.10.1.0/24"]


def test_routes_are_written_read_listed_and_deleted_one_by_one(azure: Azure) -> None:
    before = write_table(azure, {"one": ONE})
    routes = azure.network.routes
    made = routes.begin_create_or_update("rg", "rt", "other", route(*OTHER)).result()
    assert (made.name, made.address_prefix) == ("other", "10.10.1.0/24")
    assert routes.get("rg", "rt", "other").etag == made.etag
    assert [found.name for found in routes.list("rg", "rt")] == ["one", "other"]
    assert azure.network.route_tables.get("rg", "rt").etag != before.etag
    nowhere: Any = route("10.10.1.0/24", nextHopType="none")
    assert routes.begin_create_or_update("rg", "rt", "other", nowhere).result().next_hop_type == "None"
    routes.begin_delete("rg", "rt", "one").result()
    routes.begin_delete("rg", "rt", "one").result()
    assert [found.name for found in routes.list("rg", "rt")] == ["other"]
    with pytest.raises(ResourceNotFoundError):
        routes.get("rg", "rt", "one")


def test_a_table_that_somebody_else_has_changed_is_not_overwritten(azure: Azure) -> None:
    read = write_table(azure, {"one": ONE})
    azure.network.routes.begin_create_or_update("rg", "rt", "other", route(*OTHER)).result()
    path, body = read.id, {"location": "eastus", "properties": {"routes": []}}
    assert azure.raw("PUT", path, body, headers={"If-Match": read.etag})[0] == 412
    now = azure.network.route_tables.get("rg", "rt")
    assert len(now.routes or []) == 2
    assert azure.raw("PUT", path, body, headers={"If-Match": str(now.etag)})[0] == 200


def test_a_full_table_takes_no_more(azure: Azure) -> None:
    many = {f"r{n}": (f"10.{100 + n // 200}.{n % 200}.0/24", "10.1.1.4") for n in range(400)}
    assert len(write_table(azure, many).routes) == 400
    with refused("RouteCountLimitReached", 400):
        azure.network.routes.begin_create_or_update("rg", "rt", "more", route(*ONE))
    azure.network.routes.begin_create_or_update("rg", "rt", "r0", route(*ONE)).result()


def test_a_subnets_table_reaches_the_fabric_as_long_as_it_is_associated(azure: Azure) -> None:
    table = write_table(azure, {"one": ONE})
    make.virtual_network(azure)
    assert subnet_of(azure).routes == ()
    associate(azure, table.id)
    expected = UserDefinedRoute(IPv4Network("10.10.0.0/24"), "VirtualAppliance", IPv4Address("10.1.1.4"))
    assert subnet_of(azure).routes == (expected,)
    found = azure.network.route_tables.get("rg", "rt").subnets or []
    assert [one.id for one in found] == [azure.id("rg", "virtualNetworks/vnet/subnets/nodes")]
    drop: Any = route("10.10.9.0/24", nextHopType="None")
    azure.network.routes.begin_create_or_update("rg", "rt", "drop", drop).result()
    assert subnet_of(azure).routes[1] == UserDefinedRoute(IPv4Network("10.10.9.0/24"), "None")
    associate(azure, None)
    assert subnet_of(azure).routes == ()
    azure.network.route_tables.begin_delete("rg", "rt").result()


def test_packets_of_pods_are_lost_with_those_of_their_nodes_or_alone(azure: Azure) -> None:
    make.virtual_network(azure)
    make.virtual_network(azure, "far", "10.2.0.0/16", location="westus")
    for name, network, location in (("nic", "vnet", "eastus"), ("away", "far", "westus")):
        subnet = azure.id("rg", f"virtualNetworks/{network}/subnets/nodes")
        make.interface(azure, name, subnet, location=location)
    table = write_table(
        azure,
        {"one": ONE, "two": ("10.11.0.0/24", "10.2.1.4"), "all": ("0.0.0.0/0", "10.2.1.4")},
    )
    associate(azure, table.id)

    def losses(**settings: str) -> list[tuple[list[str], list[str]]]:
        body = {"kind": "cut", "between": "eastus,westus", **settings}
        status, answer, _ = azure.raw("POST", "/sandbox/faults", body, token=CREDENTIALS.client_secret)
        assert status == 201, answer
        found = describe(azure.app.cloud.store, azure.app.cloud.faults).losses
        azure.raw("DELETE", "/sandbox/faults", token=CREDENTIALS.client_secret)
        return [(list(map(str, one.addresses)), list(map(str, one.only))) for one in found]

    here, there = ["10.1.1.4/32", "10.10.0.0/24"], ["10.2.1.4/32", "10.11.0.0/24"]
    assert losses() == [(here, []), (there, [])]
    assert losses(only="10.10.0.0/16, 10.11.0.0/16") == [
        (here, ["10.10.0.0/16", "10.11.0.0/16"]),
        (there, ["10.10.0.0/16", "10.11.0.0/16"]),
    ]


def test_an_interface_shows_its_effective_routes_while_its_machine_runs(azure: Azure) -> None:
    make.virtual_network(azure, "near", "10.3.0.0/16")
    make.virtual_network(azure, "far", "10.2.0.0/16", location="westus")
    subnet = make.virtual_network(azure).subnets[0].id
    for here, there in (("vnet", "near"), ("near", "vnet"), ("vnet", "far"), ("far", "vnet")):
        body: Any = {
            "properties": {"remoteVirtualNetwork": {"id": azure.id("rg", f"virtualNetworks/{there}")}}
        }
        azure.network.virtual_network_peerings.begin_create_or_update(
            "rg", here, f"to-{there}", body
        ).result()
    associate(azure, write_table(azure, {"pods": ONE, "all": ("0.0.0.0/0", "10.2.1.4")}).id)
    nic = make.interface(azure, "nic", subnet)
    interfaces = azure.network.network_interfaces
    with refused("NetworkInterfaceNotAttachedToRunningVm", 400):
        interfaces.begin_get_effective_route_table("rg", "nic")
    make.machine(azure, "vm", nic.id)
    found = [
        one.as_dict() for one in interfaces.begin_get_effective_route_table("rg", "nic").result().value or []
    ]
    seen = {(one["source"], *one["addressPrefix"], one["nextHopType"], one["state"]) for one in found}
    assert seen == {
        ("Default", "0.0.0.0/0", "Internet", "Invalid"),
        ("Default", "10.0.0.0/8", "None", "Active"),
        ("Default", "100.64.0.0/10", "None", "Active"),
        ("Default", "172.16.0.0/12", "None", "Active"),
        ("Default", "192.168.0.0/16", "None", "Active"),
        ("Default", "10.1.0.0/16", "VnetLocal", "Active"),
        ("Default", "10.2.0.0/16", "VNetGlobalPeering", "Active"),
        ("Default", "10.3.0.0/16", "VNetPeering", "Active"),
        ("User", "10.10.0.0/24", "VirtualAppliance", "Active"),
        ("User", "0.0.0.0/0", "VirtualAppliance", "Active"),
    }
    assert [one["nextHopIpAddress"] for one in found if one.get("name") == "pods"] == [["10.1.1.4"]]
    azure.compute.virtual_machines.begin_deallocate("rg", "vm").result()
    with refused("NetworkInterfaceNotAttachedToRunningVm", 400):
        interfaces.begin_get_effective_route_table("rg", "nic")
