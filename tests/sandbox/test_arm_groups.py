"""Resource groups: lists, tags, and deletion with all that is in them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError

from tests.sandbox import arm_fixtures as make
from tests.sandbox.arm_fixtures import CREDENTIALS, Azure, control_plane, refused

GROUPS = f"/subscriptions/{CREDENTIALS.subscription_id}/resourcegroups"


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Azure]:
    with control_plane(tmp_path) as found:
        found.resources.resource_groups.create_or_update("rg", {"location": "eastus"})
        yield found


def test_a_group_is_made_changed_found_and_listed_by_tag(azure: Azure) -> None:
    groups = azure.resources.resource_groups
    assert azure.raw("PUT", f"{GROUPS}/new", {"location": "West US", "tags": {"a": "b"}})[0] == 201
    assert azure.raw("PUT", f"{GROUPS}/NEW", {"location": "westus", "tags": {"a": "c"}})[0] == 200
    assert groups.get("New").name == "new"
    assert groups.check_existence("new")
    assert not groups.check_existence("absent")
    assert [found.name for found in groups.list(filter="tagName eq 'a' and tagValue eq 'c'")] == ["new"]
    assert groups.update("new", {"tags": {}}).tags == {}
    assert [found.name for found in groups.list()] == ["rg", "new"]


def test_a_group_goes_with_all_that_is_in_it_and_its_name_is_free_again(azure: Azure) -> None:
    nic = make.interface(azure, "nic", make.virtual_network(azure).subnets[0].id)
    make.machine(azure, "vm", nic.id)
    status, body, headers = azure.raw("DELETE", f"{GROUPS}/rg")
    assert (status, body) == (202, None)
    assert "azure-asyncoperation" not in headers
    assert "/operationresults/" in headers["location"]
    azure.resources.resource_groups.create_or_update("other", {"location": "eastus"})
    token = azure.resources.resource_groups.begin_delete("other", polling_interval=0)
    token.result()
    result = headers["location"].removeprefix(azure.endpoint).partition("?")[0]
    while azure.raw("GET", result)[0] == 202:
        pass
    assert azure.raw("GET", result)[:2] == (200, None)
    assert not azure.resources.resource_groups.check_existence("rg")
    assert not list(azure.resources.resources.list())
    azure.resources.resource_groups.create_or_update("rg", {"location": "westus"})


def test_a_group_that_is_going_takes_no_writes(tmp_path: Path) -> None:
    with control_plane(tmp_path, latency=1.0) as azure:
        azure.resources.resource_groups.create_or_update("rg", {"location": "eastus"})
        path = azure.id("rg", "routeTables/rt")
        azure.raw("PUT", path, {"location": "eastus"})
        location = azure.raw("DELETE", f"{GROUPS}/rg")[2]["location"].removeprefix(azure.endpoint)
        for method, target in (("PUT", path), ("DELETE", path), ("PUT", f"{GROUPS}/rg")):
            status, answer, _ = azure.raw(method, target, {"location": "eastus"} if method == "PUT" else None)
            assert (status, answer["error"]["code"]) == (409, "ResourceGroupBeingDeleted")
        assert azure.raw("GET", f"{GROUPS}/rg")[1]["properties"]["provisioningState"] == "Deleting"
        assert azure.raw("GET", path)[0] == 200
        assert azure.raw("GET", location.partition("?")[0])[0] == 202
        azure.clock.now += 45
        while azure.raw("GET", location.partition("?")[0])[0] == 202:
            pass
        assert azure.raw("GET", f"{GROUPS}/rg")[0] == 404


def test_a_group_that_others_use_is_not_deleted(azure: Azure) -> None:
    subnet = make.virtual_network(azure).subnets[0].id
    azure.resources.resource_groups.create_or_update("user", {"location": "eastus"})
    make.interface(azure, "nic", subnet, group="user")
    with pytest.raises(HttpResponseError) as caught:
        azure.resources.resource_groups.begin_delete("rg").result()
    assert caught.value.error is not None
    assert caught.value.error.code == "ResourceGroupDeletionBlocked"
    assert azure.resources.resource_groups.get("rg").properties.provisioning_state == "Succeeded"
    make.security_group(azure)


def test_peers_in_other_groups_are_disconnected(azure: Azure) -> None:
    azure.resources.resource_groups.create_or_update("other", {"location": "eastus"})
    make.virtual_network(azure, "a", "10.1.0.0/16")
    make.virtual_network(azure, "b", "10.2.0.0/16", group="other")
    peerings = azure.network.virtual_network_peerings
    for here, vnet, there, remote in (("rg", "a", "other", "b"), ("other", "b", "rg", "a")):
        body = {"properties": {"remoteVirtualNetwork": {"id": azure.id(there, f"virtualNetworks/{remote}")}}}
        peerings.begin_create_or_update(here, vnet, "peer", body).result()
    azure.resources.resource_groups.begin_delete("other").result()
    assert peerings.get("rg", "a", "peer").peering_state == "Disconnected"


def test_resources_are_listed_by_type_and_group(azure: Azure) -> None:
    make.security_group(azure)
    make.virtual_network(azure)
    wanted = "resourceType eq 'Microsoft.Network/networkSecurityGroups'"
    assert [found.name for found in azure.resources.resources.list(filter=wanted)] == ["nsg"]
    assert len(list(azure.resources.resources.list_by_resource_group("RG"))) == 2
    with refused("ResourceGroupNotFound", 404):
        list(azure.resources.resources.list_by_resource_group("absent"))
