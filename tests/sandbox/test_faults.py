"""Faults that strike ARM, tokens and the mirror: asked for, felt through the SDK, over, cleared."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceExistsError

from sandbox.faults.kinds import KINDS, InvalidFault, described, parse
from sandbox.faults.refusals import REFUSALS
from tests.sandbox import arm_fixtures as make
from tests.sandbox.arm_fixtures import CREDENTIALS, SCOPE, Azure, Hypervisor, control_plane, refused

FAULTS = "/sandbox/faults"
GROUPS = f"/subscriptions/{CREDENTIALS.subscription_id}/resourcegroups"


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Azure]:
    with control_plane(tmp_path) as found:
        found.resources.resource_groups.create_or_update("rg", {"location": "eastus"})
        yield found


def ask(azure: Azure, method: str, path: str = FAULTS, body: Any = None) -> tuple[int, Any]:
    """Ask as the sandbox's own commands do."""
    status, answer, _ = azure.raw(method, path, body, token=CREDENTIALS.client_secret)
    return status, answer


def add(azure: Azure, kind: str, **settings: Any) -> int:
    status, answer = ask(azure, "POST", body={"kind": kind, **settings})
    assert status == 201, answer
    return int(answer["number"])


def test_only_the_keeper_of_the_secret_sees_and_makes_faults(azure: Azure) -> None:
    for method in ("GET", "POST", "DELETE"):
        assert azure.raw(method, FAULTS)[0] == 404
        assert azure.raw(method, FAULTS, token=None)[0] == 401
    assert ask(azure, "GET") == (200, {"value": []})


def test_throttling_asks_for_patience_and_is_over_by_itself(azure: Azure) -> None:
    add(azure, "throttle", retry_after_s=1, for_s=30)
    status, answer, headers = azure.raw("GET", GROUPS)
    assert (status, answer["error"]["code"]) == (429, "SubscriptionRequestsThrottled")
    assert headers["retry-after"] == "1"
    started = time.monotonic()
    with refused("SubscriptionRequestsThrottled", 429):
        azure.resources.resource_groups.create_or_update("more", {"location": "eastus"}, retry_status=1)
    assert time.monotonic() - started > 1, "the SDK waited"
    azure.clock.now += 31
    assert azure.raw("GET", GROUPS)[0] == 200
    assert ask(azure, "GET") == (200, {"value": []})


def test_a_quota_error_is_azures_and_strikes_as_often_as_was_asked(azure: Azure) -> None:
    nic = make.interface(azure, "nic", make.virtual_network(azure).subnets[0].id)
    add(azure, "refuse", type="virtualMachines", code="OperationNotAllowed", times="2")
    make.security_group(azure)  # another type
    for left in (1, 0):
        with pytest.raises(ResourceExistsError, match=r"Total Regional Cores quota.*Location: eastus"):
            make.machine(azure, "vm", nic.id)
        assert [fault["times_left"] for fault in ask(azure, "GET")[1]["value"]] == [left] * bool(left)
    assert make.machine(azure, "vm", nic.id).provisioning_state == "Succeeded"


@pytest.mark.parametrize("code", [code for code, refusal in REFUSALS.items() if not refusal.at_boot])
def test_every_refusal_is_in_azures_words_and_leaves_no_trace(azure: Azure, code: str) -> None:
    add(azure, "refuse", type="Microsoft.Network/networkSecurityGroups", code=code)
    path = azure.id("rg", "networkSecurityGroups/new")
    status, answer, _ = azure.raw("PUT", path, {"location": "westus", "properties": {}})
    assert (status, answer["error"]["code"]) == (REFUSALS[code].status, code)
    assert "{" not in answer["error"]["message"]
    assert azure.raw("GET", path)[0] == 404


def test_a_missing_right_names_the_client_the_action_and_the_scope(azure: Azure) -> None:
    group = make.security_group(azure)
    add(azure, "refuse", type="*", code="AuthorizationFailed")
    _, answer, _ = azure.raw("DELETE", group.id)
    for part in (CREDENTIALS.client_id, "Microsoft.Network/networkSecurityGroups/delete", group.id):
        assert part in answer["error"]["message"]


def test_an_expired_secret_gets_no_token_and_spoils_those_that_are_out(azure: Azure) -> None:
    list(azure.resources.resource_groups.list())
    number = add(azure, "credential")
    _, answer, _ = azure.raw("GET", GROUPS, token=azure.credential.get_token(SCOPE).token)
    assert answer["error"]["code"] == "ExpiredAuthenticationToken"
    with (
        azure.credential.__class__(
            CREDENTIALS.tenant_id,
            CREDENTIALS.client_id,
            CREDENTIALS.client_secret,
            authority=azure.endpoint,
            disable_instance_discovery=True,
            connection_verify=str(azure.ca_file),
        ) as fresh,
        pytest.raises(ClientAuthenticationError, match="AADSTS7000222"),
    ):
        fresh.get_token(SCOPE)
    assert ask(azure, "DELETE", f"{FAULTS}/{number}") == (200, {"value": []})
    list(azure.resources.resource_groups.list())


def test_slow_operations_take_azures_time(azure: Azure) -> None:
    add(azure, "slow", factor=0.1)
    path = azure.id("rg", "virtualNetworks/vnet")
    body = {"location": "eastus", "properties": {"addressSpace": {"addressPrefixes": ["10.1.0.0/16"]}}}
    _, _, headers = azure.raw("PUT", path, body)
    assert headers["x-ms-retry-after-ms"] == "300"
    assert azure.raw("GET", path)[1]["properties"]["provisioningState"] == "Updating"
    azure.clock.now += 0.6
    assert azure.raw("GET", path)[1]["properties"]["provisioningState"] == "Succeeded"
    ask(azure, "DELETE")
    assert azure.raw("PUT", path, body)[2]["x-ms-retry-after-ms"] == "50"


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"kind": "earthquake"}, "does not match any of the expected tags"),
        ({"kind": "slow", "factor": "fast"}, "factor: Input should be a valid number"),
        ({"kind": "slow", "speed": 1}, "speed: Extra inputs are not permitted"),
        ({"kind": "refuse", "type": "*", "code": "Nonsense"}, "code: .*there are OperationNotAllowed"),
        ({"kind": "refuse", "type": "disks", "code": "AllocationFailed"}, "type=virtualMachines only"),
        ({"kind": "cut", "between": "a,b,c"}, "name one or two regions or machines"),
        ({"kind": "cut", "between": ","}, "name one or two regions or machines"),
        ({"kind": "cut", "between": "a", "only": ""}, "only: .*Address cannot be empty"),
        ({"kind": "cut", "between": "a", "only": "10.0.0.1/8"}, "only: .*has host bits set"),
        ({"kind": "mirror", "answer": "no"}, "'checksum' or 'unavailable'"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_in_a_sentence(
    azure: Azure, document: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidFault, match=sentence):
        parse(document)
    status, answer = ask(azure, "POST", body=document)
    assert (status, answer["error"]["code"]) == (400, "InvalidFault")


def test_a_place_that_does_not_exist_is_refused_with_those_that_do(azure: Azure) -> None:
    make.machine(azure, "vm", make.interface(azure, "nic", make.virtual_network(azure).subnets[0].id).id)
    for document in ({"kind": "cut", "between": "eastus,mars"}, {"kind": "lose", "machine": "mars"}):
        _, answer = ask(azure, "POST", body=document)
        assert "mars" in answer["error"]["message"]
        assert "vm" in answer["error"]["message"]
    assert ask(azure, "DELETE", f"{FAULTS}/7")[1]["error"]["code"] == "InvalidFault"


def test_every_kind_says_what_it_does() -> None:
    said = "\n".join(described())
    for kind in KINDS:
        assert f"{kind.model_fields['kind'].default}: " in said
        assert all(field.description for name, field in kind.model_fields.items() if name != "kind")


def test_no_room_for_a_machine_fails_its_operation_and_the_next_put_boots_it(tmp_path: Path) -> None:
    with control_plane(tmp_path, machines=Hypervisor()) as azure:
        azure.resources.resource_groups.create_or_update("rg", {"location": "eastus"})
        nic = make.interface(azure, "nic", make.virtual_network(azure).subnets[0].id)
        add(azure, "refuse", type="virtualMachines", code="AllocationFailed")
        with pytest.raises(HttpResponseError) as caught:
            make.machine(azure, "vm", nic.id)
        assert caught.value.status_code == 200  # the operation fails, not the request
        assert caught.value.error is not None
        assert caught.value.error.code == "AllocationFailed"
        view = azure.compute.virtual_machines.instance_view("rg", "vm")
        assert [one.code for one in view.statuses] == ["ProvisioningState/failed", "PowerState/deallocated"]
        assert make.machine(azure, "vm", nic.id).provisioning_state == "Succeeded"
        _, answer = ask(azure, "POST", body={"kind": "full-disk", "machine": "vm"})
        assert "it has mounted no data disk" in answer["error"]["message"]
        assert ask(azure, "GET") == (200, {"value": []})
