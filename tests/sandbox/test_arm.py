"""ARM through the unmodified SDK: a whole deployment, operations, lists, what is logged."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.arm import urls
from tests.sandbox import arm_fixtures as make
from tests.sandbox.arm_fixtures import CREDENTIALS, Azure, control_plane

REGIONS = {"eastus": "10.1.0.0/16", "westus": "10.2.0.0/16", "northeurope": "10.3.0.0/16"}


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Azure]:
    with control_plane(tmp_path) as found:
        found.resources.resource_groups.create_or_update("rg", {"location": "eastus"})
        yield found


def region(azure: Azure, location: str, prefix: str) -> str:
    """Deploy one region with three machines; returns the id of its network."""
    start = prefix.rsplit(".", 2)[0]
    nsg = make.security_group(azure, f"nsg-{location}", location=location)
    subnet = {"addressPrefix": f"{start}.1.0/24", "networkSecurityGroup": {"id": nsg.id}}
    properties = {
        "addressSpace": {"addressPrefixes": [prefix]},
        "subnets": [{"name": "nodes", "properties": subnet}],
    }
    network = azure.network.virtual_networks.begin_create_or_update(
        "rg", f"vnet-{location}", {"location": location, "properties": properties}
    ).result()
    for number in range(3):
        public = make.public_address(azure, f"pip-{location}-{number}", location=location)
        options = {"address": f"{start}.1.{4 + number}", "public_id": public.id, "location": location}
        nic = make.interface(azure, f"nic-{location}-{number}", network.subnets[0].id, **options)
        body = make.machine_body(nic.id, f"vm-{location}-{number}") | {"location": location}
        azure.compute.virtual_machines.begin_create_or_update("rg", f"vm-{location}-{number}", body).result()
    return str(network.id)


def test_a_three_region_deployment_through_the_sdk(azure: Azure) -> None:
    networks = {location: region(azure, location, prefix) for location, prefix in REGIONS.items()}
    for here in networks:
        for there, network_id in networks.items():
            if here != there:
                body = {"properties": {"remoteVirtualNetwork": {"id": network_id}}}
                azure.network.virtual_network_peerings.begin_create_or_update(
                    "rg", f"vnet-{here}", f"to-{there}", body
                ).result()
    states = [
        peering.peering_state
        for here in networks
        for peering in azure.network.virtual_network_peerings.list("rg", f"vnet-{here}")
    ]
    assert states == ["Connected"] * 6
    assert len(list(azure.compute.virtual_machines.list("rg"))) == 9
    interfaces = list(azure.network.network_interfaces.list_all())
    assert {one.ip_configurations[0].private_ip_address for one in interfaces} >= {"10.1.1.4", "10.3.1.6"}
    types = [resource.type for resource in azure.resources.resources.list_by_resource_group("rg")]
    assert types.count("Microsoft.Compute/disks") == 9
    assert "Microsoft.Network/virtualNetworks/subnets" not in types


def test_an_operation_is_polled_where_azure_puts_it(azure: Azure) -> None:
    path = azure.id("rg", "networkSecurityGroups/nsg")
    status, body, headers = azure.raw("PUT", path, {"location": "eastus", "properties": {}})
    assert (status, body["properties"]["provisioningState"]) == (201, "Updating")
    assert headers["azure-asyncnotification"] == "Enabled"
    assert int(headers["x-ms-retry-after-ms"]) <= 100
    url = headers["azure-asyncoperation"]
    assert "/providers/Microsoft.Network/locations/eastus/operations/" in url
    status, body, headers = azure.raw("GET", url.removeprefix(azure.endpoint).partition("?")[0])
    assert (status, body["status"]) == (200, "Succeeded")
    assert azure.raw("PUT", path, {"location": "eastus", "properties": {}})[0] == 200


def test_a_deletion_answers_202_with_two_addresses_and_then_204(azure: Azure) -> None:
    group = make.security_group(azure)
    status, body, headers = azure.raw("DELETE", group.id)
    assert (status, body) == (202, None)
    assert "/operations/" in headers["azure-asyncoperation"]
    assert "/operationResults/" in headers["location"]
    result = headers["location"].removeprefix(azure.endpoint).partition("?")[0]
    assert azure.raw("GET", result)[0] == 204
    assert azure.raw("DELETE", group.id)[0] == 204


def test_with_azures_latencies_an_operation_takes_its_time(tmp_path: Path) -> None:
    with control_plane(tmp_path, latency=1.0) as azure:
        azure.resources.resource_groups.create_or_update("rg", {"location": "eastus"})
        path = azure.id("rg", "networkSecurityGroups/nsg")
        _, _, headers = azure.raw("PUT", path, {"location": "eastus", "properties": {}})
        operation = headers["azure-asyncoperation"].removeprefix(azure.endpoint).partition("?")[0]
        assert headers["x-ms-retry-after-ms"] == "3000"
        assert azure.raw("GET", operation)[1]["status"] == "InProgress"
        assert azure.raw("GET", path)[1]["properties"]["provisioningState"] == "Updating"
        azure.clock.now += 3
        assert azure.raw("GET", operation)[1]["status"] == "Succeeded"
        assert azure.raw("GET", path)[1]["properties"]["provisioningState"] == "Succeeded"
        azure.raw("DELETE", path)
        assert azure.raw("GET", path)[1]["properties"]["provisioningState"] == "Deleting"
        status, answer, _ = azure.raw("PUT", path, {"location": "eastus", "properties": {}})
        assert (status, answer["error"]["code"]) == (409, "AnotherOperationInProgress")
        azure.clock.now += 10
        assert azure.raw("GET", path)[0] == 404


def test_a_killed_client_resumes_an_operation_by_its_continuation_token(azure: Azure) -> None:
    body = {"location": "eastus", "properties": {}}
    groups = azure.network.network_security_groups
    token = groups.begin_create_or_update("rg", "nsg", body, polling_interval=0).continuation_token()
    found = groups.begin_create_or_update("rg", "nsg", body, continuation_token=token).result()
    assert found.provisioning_state == "Succeeded"
    writes = [line for line in azure.request_log.read_text().splitlines() if '"PUT"' in line]
    assert len(writes) == 2  # the resource group's and the first of the security group's


def test_finished_operations_are_purged_after_an_hour(azure: Azure) -> None:
    path = azure.id("rg", "networkSecurityGroups/nsg")
    body = {"location": "eastus", "properties": {}}
    url = azure.raw("PUT", path, body)[2]["azure-asyncoperation"]
    operation = url.removeprefix(azure.endpoint).partition("?")[0]
    token = azure.credential.get_token(make.SCOPE).token
    azure.clock.now += 3500
    azure.raw("PUT", path, body, token=token)
    assert azure.raw("GET", operation, token=token)[0] == 200
    azure.app.cloud.clock.now += 200
    azure.app.cloud.operations.start(location="eastus", namespace="Microsoft.Network", shows="", seconds=0)
    assert azure.app.cloud.operations.find(operation.rpartition("/")[2]) is None


def test_ids_are_matched_without_regard_to_case_and_echoed_as_first_written(azure: Azure) -> None:
    made = make.security_group(azure, "Nsg-One")
    assert made.id.endswith("/resourceGroups/rg/providers/Microsoft.Network/networkSecurityGroups/Nsg-One")
    shouted = made.id.upper()
    status, body, _ = azure.raw("GET", shouted)
    assert (status, body["id"]) == (200, made.id)
    status, body, _ = azure.raw("PUT", shouted, {"location": "East US", "properties": {}})
    assert (status, body["id"], body["type"]) == (200, made.id, made.type)
    subnet = {"addressPrefix": "10.1.1.0/24", "networkSecurityGroup": {"id": shouted}}
    make.virtual_network(azure, subnets={})
    found = azure.network.subnets.begin_create_or_update("RG", "VNET", "a", {"properties": subnet}).result()
    assert found.network_security_group.id == made.id


def test_unknown_fields_are_kept_and_echoed(azure: Azure) -> None:
    body = {"location": "eastus", "properties": {"somethingNew": {"a": [1]}}, "extendedLocation": {"x": 1}}
    _, written, _ = azure.raw("PUT", azure.id("rg", "routeTables/rt"), body)
    _, found, _ = azure.raw("GET", azure.id("rg", "routeTables/rt"))
    for document in (written, found):
        assert document["properties"]["somethingNew"] == {"a": [1]}
        assert document["extendedLocation"] == {"x": 1}


def test_what_a_get_returns_can_be_put_again(azure: Azure) -> None:
    network = make.virtual_network(azure)
    public = make.public_address(azure)
    nic = make.interface(azure, "nic", network.subnets[0].id, public_id=public.id)
    vm = make.machine(azure, "vm", nic.id)
    for resource_id in (network.id, public.id, nic.id, vm.id, make.security_group(azure).id):
        _, before, _ = azure.raw("GET", resource_id)
        status, _, _ = azure.raw("PUT", resource_id, before)
        _, after, _ = azure.raw("GET", resource_id)
        assert status == 200, resource_id
        assert without_etags(after) == without_etags(before)


def without_etags(value: object) -> object:
    """A document without what every write changes."""
    if isinstance(value, dict):
        return {key: without_etags(inner) for key, inner in value.items() if key != "etag"}
    return [without_etags(inner) for inner in value] if isinstance(value, list) else value


def test_an_etag_changes_with_every_write_and_guards_the_next(azure: Azure) -> None:
    body = {"location": "eastus", "properties": {}}
    path = azure.id("rg", "routeTables/rt")
    azure.raw("PUT", path, body)
    first = azure.raw("GET", path)[2]["etag"]
    assert azure.raw("PUT", path, body, headers={"If-Match": first})[0] == 200
    second = azure.raw("GET", path)[1]["etag"]
    assert second != first
    status, answer, _ = azure.raw("PUT", path, body, headers={"If-Match": first})
    assert (status, answer["error"]["code"]) == (412, "PreconditionFailed")
    assert azure.raw("PUT", path, body, headers={"If-None-Match": "*"})[0] == 412
    assert azure.raw("DELETE", path, headers={"If-Match": first})[0] == 412
    assert azure.raw("DELETE", path, headers={"If-Match": second})[0] == 202
    assert azure.raw("PUT", path, body, headers={"If-Match": "*"})[0] == 412


def test_a_childs_write_changes_its_parents_etag(azure: Azure) -> None:
    network = make.virtual_network(azure)
    subnet = {"properties": {"addressPrefix": "10.1.2.0/24"}}
    azure.network.subnets.begin_create_or_update("rg", "vnet", "more", subnet).result()
    found = azure.network.virtual_networks.get("rg", "vnet")
    assert found.etag != network.etag
    assert [one.name for one in found.subnets] == ["nodes", "more"]


def test_tags_change_by_patch_at_once(azure: Azure) -> None:
    make.security_group(azure)
    found = azure.network.network_security_groups.update_tags("rg", "nsg", {"tags": {"owner": "us"}})
    assert found.tags == {"owner": "us"}
    by_tag = azure.resources.resources.list(filter="tagName eq 'owner' and tagValue eq 'us'")
    assert [one.name for one in by_tag] == ["nsg"]


def test_a_type_that_the_sandbox_lacks_is_said_so(azure: Azure) -> None:
    for path in ("natGateways", "natGateways/gateway", "virtualNetworks/vnet/widgets"):
        status, body, _ = azure.raw("GET", azure.id("rg", path))
        assert (status, body["error"]["code"]) == (400, "NotEmulatedBySandbox")
        assert path.split("/")[0] in body["error"]["message"]
    for path in ("/tagNames", "/providers/Microsoft.Sql/servers", "/providers/Microsoft.Sql"):
        status, body, _ = azure.raw("GET", f"/subscriptions/{CREDENTIALS.subscription_id}{path}")
        assert (status, body["error"]["code"]) == (400, "NotEmulatedBySandbox")


def test_the_catalogue_names_subscription_tenant_regions_and_providers(azure: Azure) -> None:
    assert azure.raw("GET", "/subscriptions")[1]["value"][0]["subscriptionId"] == CREDENTIALS.subscription_id
    assert azure.raw("GET", "/tenants")[1]["value"][0]["tenantId"] == CREDENTIALS.tenant_id
    assert azure.raw("GET", "/metadata/endpoints", token=None)[1]["resourceManager"] == azure.endpoint
    regions = azure.raw("GET", f"/subscriptions/{CREDENTIALS.subscription_id}/locations")[1]["value"]
    assert len(regions) >= 50
    provider = azure.resources.providers.get("Microsoft.Network")
    assert provider.registration_state == "Registered"
    known = {kind.name for kind in urls.ALL_TYPES}
    assert {f"Microsoft.Network/{one.resource_type}" for one in provider.resource_types} <= known
    assert {one.api_versions[0] for one in provider.resource_types} == {"2026-03-01"}
    _, body, _ = azure.raw("GET", "/subscriptions/99999999-9999-9999-9999-999999999999/resourcegroups/rg")
    assert body["error"]["code"] == "SubscriptionNotFound"


def test_the_request_log_holds_no_body_and_no_token(azure: Azure) -> None:
    nic = make.interface(azure, "nic", make.virtual_network(azure).subnets[0].id)
    make.machine(azure, "vm", nic.id, custom_data="I2Nsb3VkLWNvbmZpZwojIHNlY3JldAo=")
    log = azure.request_log.read_text()
    for secret in (CREDENTIALS.client_secret, "eyJ", "I2Nsb3VkLWNvbmZpZ", "10.1.1"):
        assert secret not in log
    assert '"method": "PUT"' in log
    assert '"api_version": "2026-' in log


def test_a_request_that_cannot_be_logged_is_an_error_in_arms_envelope(tmp_path: Path) -> None:
    """`/dev/full` is a disk without room; what the log lacks would be believed not to have happened."""
    (tmp_path / "requests.jsonl").symlink_to("/dev/full")
    with control_plane(tmp_path) as azure:
        status, answer, _ = azure.raw("GET", "/metadata/endpoints", token=None)
        assert (status, answer["error"]["code"]) == (500, "InternalServerError")
        assert "No space left on device" in answer["error"]["message"]
