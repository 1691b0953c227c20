"""An outside client: what `az` sends is answered, and what it reads of the answers is there."""

import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.arm import api_versions
from tests.sandbox import arm_fixtures as make
from tests.sandbox.arm_fixtures import CREDENTIALS, Azure, control_plane
from tests.sandbox.az_session import COMMANDS, RECORDING, Az, keys

RECORDED = [json.loads(line) for line in RECORDING.read_text().splitlines()]
README = Path(__file__).parents[2] / "sandbox" / "README.md"
GROUP = f"/subscriptions/{CREDENTIALS.subscription_id}/resourceGroups/rg"
DEPLOYMENT = f"{GROUP}/providers/Microsoft.Resources/deployments/one"
LINES = README.read_text().replace(" \\\n  ", " ").splitlines()
SHOWN = [line.removeprefix("az ") for line in LINES if line.startswith("az ")]


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Azure]:
    with control_plane(tmp_path) as found:
        yield found


def finish(azure: Azure, headers: dict[str, str]) -> dict[str, Any]:
    """Wait for the operation that an answer names; returns its last status."""
    url = headers.get("azure-asyncoperation") or headers.get("location")
    while url:
        path = url.removeprefix(azure.endpoint).partition("?")[0]
        status, body, _ = azure.raw("GET", path)
        if status != 202 and (body or {}).get("status") != "InProgress":
            return dict(body or {})
        time.sleep(0.05)
    return {}


def test_what_az_sends_is_answered_as_it_was_when_az_was_content(azure: Azure) -> None:
    for line in RECORDED:
        path, _, query = line["target"].partition("?")
        status, body, headers = azure.raw(line["method"], path, line["body"], version=None, query=query)
        where = f"{line['method']} {line['target']}: {body}"
        assert status == line["status"], where
        missing = set(line["keys"]) - set(keys(body))
        assert not missing, where
        if line["method"] != "GET":
            finish(azure, headers)


def test_the_recording_is_of_every_command_that_the_readme_shows() -> None:
    assert len(SHOWN) > 20
    login = ("config set ", "cloud ", "login ")
    assert [command for command in SHOWN if not command.startswith(login) and command not in COMMANDS] == []
    text = RECORDING.read_text()
    for name in set(re.findall(r" -n (\w+)", "\n".join(COMMANDS))):
        assert f"/{name}" in text, name


@pytest.mark.skipif(
    shutil.which("az") is None, reason="no az on the PATH: its recorded requests are replayed"
)
@pytest.mark.timeout(600)
def test_az_itself_does_what_the_readme_shows(azure: Azure, tmp_path: Path) -> None:
    az = Az(azure.endpoint, azure.ca_file, tmp_path)
    for command in COMMANDS:
        if command in SHOWN:
            az(command)
    assert json.loads(az("group list")) == []


def test_a_template_is_deployed_in_the_order_of_its_dependencies(azure: Azure) -> None:
    azure.resources.resource_groups.create_or_update("rg", {"location": "eastus"})
    network = "Microsoft.Network"
    subnet = f"{GROUP}/providers/{network}/virtualNetworks/vnet/subnets/nodes"
    nic = make.interface_body(subnet) | {
        "type": f"{network}/networkInterfaces",
        "name": "nic",
        "apiVersion": "2023-11-01",
        "dependsOn": [f"{network}/virtualNetworks/vnet/subnets/nodes", f"{network}/virtualNetworks/vnet"],
    }
    vnet = {
        "type": f"{network}/virtualNetworks",
        "name": "vnet",
        "apiVersion": "2023-11-01",
        "location": "[parameters('where')]",
        "properties": {
            "addressSpace": {"addressPrefixes": ["10.1.0.0/16"]},
            "subnets": [{"name": "nodes", "properties": {"addressPrefix": "10.1.1.0/24"}}],
        },
    }
    status, body, headers = azure.raw("PUT", DEPLOYMENT, template([nic, vnet], where="eastus"))
    assert (status, body["properties"]["mode"]) == (201, "Incremental")
    assert finish(azure, headers)["status"] == "Succeeded"
    found = azure.raw("GET", DEPLOYMENT)[1]["properties"]
    assert [one["id"].rpartition("/")[2] for one in found["outputResources"]] == ["vnet", "nic"]
    assert azure.network.network_interfaces.get("rg", "nic").provisioning_state == "Succeeded"


def test_a_deployment_whose_resource_is_refused_fails_and_says_why(azure: Azure) -> None:
    azure.resources.resource_groups.create_or_update("rg", {"location": "eastus"})
    vnet = {"type": "Microsoft.Network/virtualNetworks", "name": "v", "apiVersion": "2023-11-01"}
    _, _, headers = azure.raw("PUT", DEPLOYMENT, template([{**vnet, "location": "eastus"}]))
    ended = finish(azure, headers)
    assert (ended["status"], ended["error"]["code"]) == ("Failed", "DeploymentFailed")
    assert ended["error"]["details"][0]["code"] == "VnetAddressSpaceNotSpecified"
    assert azure.raw("GET", DEPLOYMENT)[1]["properties"]["provisioningState"] == "Failed"


def template(resources: list[dict[str, Any]], **parameters: str) -> dict[str, Any]:
    """Describe an incremental deployment."""
    found = {"resources": resources, "parameters": {name: {"type": "string"} for name in parameters}}
    values = {name: {"value": value} for name, value in parameters.items()}
    return {"properties": {"mode": "Incremental", "template": found, "parameters": values}}


VNET = {"type": "Microsoft.Network/virtualNetworks", "name": "a", "apiVersion": "2023-11-01"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (template([{**VNET, "location": "[resourceGroup().location]"}]), "NotEmulatedBySandbox"),
        (template([{**VNET, "copy": {"name": "many", "count": 2}}]), "NotEmulatedBySandbox"),
        (template([{**VNET, "dependsOn": ["Microsoft.Network/virtualNetworks/a"]}]), "InvalidTemplate"),
        (template([{**VNET, "name": "a/b"}]), "InvalidTemplate"),
        (template([{"name": "a"}]), "InvalidTemplate"),
        ({"properties": {"mode": "Complete", "template": {}}}, "NotEmulatedBySandbox"),
        ({"properties": {"mode": "Incremental", "template": {"resources": ["x"]}}}, "InvalidRequestFormat"),
        ({"properties": {"mode": "Incremental", "templateLink": {"uri": "x"}}}, "NotEmulatedBySandbox"),
        (template([]) | {"location": 1}, None),
    ],
)
def test_a_template_that_cannot_be_deployed_is_refused_at_once(
    azure: Azure, body: dict[str, Any], code: str | None
) -> None:
    azure.resources.resource_groups.create_or_update("rg", {"location": "eastus"})
    status, answer, _ = azure.raw("PUT", DEPLOYMENT, body)
    assert (status, answer.get("error", {}).get("code")) == ((400, code) if code else (201, None))


def test_a_group_takes_its_deployments_with_it(azure: Azure) -> None:
    azure.resources.resource_groups.create_or_update("rg", {"location": "eastus"})
    finish(azure, azure.raw("PUT", DEPLOYMENT, template([]))[2])
    azure.resources.resource_groups.begin_delete("rg").result()
    azure.resources.resource_groups.create_or_update("rg", {"location": "eastus"})
    assert azure.raw("GET", DEPLOYMENT.rpartition("/")[0])[1] == {"value": []}


def test_another_image_is_refused_by_its_name(azure: Azure) -> None:
    start = f"/subscriptions/{CREDENTIALS.subscription_id}/providers/Microsoft.Compute/locations/eastus"
    path = f"{start}/publishers/Canonical/artifacttypes/vmimage/offers/ubuntu/skus/24/versions"
    status, answer, _ = azure.raw("GET", path)
    assert (status, answer["error"]["code"]) == (400, "NotEmulatedBySandbox")
    assert "Canonical:ubuntu:24" in answer["error"]["message"]


def test_the_newest_api_versions_are_those_of_the_sdk() -> None:
    with_sdk = {"virtualNetworks": "2026-03-01", "virtualMachines": "2026-04-01", "disks": "2026-03-02"}
    for name, version in with_sdk.items():
        namespace = "Microsoft.Network" if name == "virtualNetworks" else "Microsoft.Compute"
        assert api_versions.known(f"{namespace}/{name}")[0] == version
