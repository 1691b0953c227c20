"""Bodies of the wrong shape: refused or accepted, never a failure of the sandbox."""

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.arm import App, urls
from sandbox.arm.errors import ArmError
from sandbox.arm.fabric import describe
from sandbox.arm.resource_type import Call
from sandbox.instance import Instance
from tests.sandbox import arm_fixtures as make
from tests.sandbox import test_arm_refusals as paths
from tests.sandbox.arm_fixtures import CREDENTIALS

WRONG: list[Any] = [None, 1, -1, 1.5, True, "x", "", [], [1], ["x"], [{}], {}, {"id": "x"}, {"id": 1}]
DISK = paths.located(diskSizeGB=10, creationData={"createOption": "Empty"})


def machine() -> dict[str, Any]:
    """Describe a machine with a data disk and tags."""
    body = paths.machine() | {"tags": {"a": "b"}}
    body["properties"]["storageProfile"]["dataDisks"] = [{"lun": 0, "managedDisk": paths.DATA}]
    return body


def group() -> dict[str, Any]:
    """Describe a security group with a rule of the augmented kind."""
    rule = {"name": "a", **paths.rule(sourceAddressPrefixes=["10.0.0.0/8"], destinationPortRanges=["1-2"])}
    return paths.located(securityRules=[rule])


BODIES: dict[str, dict[str, Any]] = {
    f"{paths.SUBSCRIPTION}/resourcegroups/new": {"location": "eastus", "tags": {"a": "b"}},
    f"{paths.NSG}/new": group(),
    paths.RULE: paths.rule(),
    f"{paths.NETWORK}/routeTables/new": paths.located(
        routes=[{"name": "a", **paths.route()}], disableBgpRoutePropagation=True
    ),
    paths.ROUTE: paths.route(),
    f"{paths.NETWORK}/virtualNetworks/new": paths.network("10.9.0.0/16", a="10.9.1.0/24"),
    f"{paths.VNET}/subnets/new": paths.subnet("10.1.7.0/24", networkSecurityGroup=paths.NOT_OURS),
    f"{paths.VNET}/subnets/other": {"properties": {"addressPrefixes": ["10.1.7.0/24"]}},
    paths.PEERING: paths.peering("peer", allowForwardedTraffic=True),
    paths.PIP: paths.standard() | {"zones": ["1"]},
    paths.NIC: paths.nic(address="10.1.1.50", public_id=f"{paths.NETWORK}/publicIPAddresses/pip"),
    paths.DISK: DISK | {"zones": ["1"], "sku": {"name": "Premium_LRS"}},
    f"{paths.COMPUTE}/availabilitySets/new": paths.located(platformFaultDomainCount=2),
    paths.NEW: machine(),
}


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    found = App(Instance("test"), CREDENTIALS)
    before = {
        f"{paths.SUBSCRIPTION}/resourcegroups/rg": {"location": "eastus"},
        f"{paths.NSG}/nsg": paths.located(),
        f"{paths.NETWORK}/routeTables/rt": paths.located(),
        paths.VNET: paths.network("10.1.0.0/16", nodes="10.1.1.0/24"),
        f"{paths.NETWORK}/virtualNetworks/peer": paths.network("10.2.0.0/16"),
        f"{paths.NETWORK}/publicIPAddresses/pip": paths.standard(),
        paths.FREE_NIC: make.interface_body(paths.SUBNET),
        f"{paths.COMPUTE}/disks/data": DISK,
    }
    for path, body in before.items():
        ask(found, "PUT", path, body)
    yield found
    found.close()


def ask(app: App, method: str, path: str, body: dict[str, Any] | None = None) -> int:
    """Send a request past TLS and tokens; returns its status."""
    call = Call(method, path, {"api-version": "2019-07-01"}, {}, body or {}, "https://localhost")
    with app.cloud.store.lock:
        return urls.route(app.cloud, call).status


def mutations(body: Any) -> Iterator[Any]:
    """Every body in which one place holds something else."""
    if isinstance(body, dict | list):
        for key in body if isinstance(body, dict) else range(len(body)):
            for inner in (*WRONG, *mutations(body[key])):
                changed = copy.copy(body)
                changed[key] = inner
                yield changed


@pytest.mark.parametrize("path", BODIES, ids=lambda path: path.rsplit("/", 2)[-2])
def test_no_malformed_body_makes_the_sandbox_fail(app: App, path: str) -> None:
    assert ask(app, "PUT", path, BODIES[path]) in (200, 201, 202)
    ask(app, "DELETE", path)
    for body in mutations(BODIES[path]):
        with contextlib.suppress(ArmError):
            ask(app, "PUT", path, body)
            describe(app.cloud.store, app.cloud.faults)
            ask(app, "GET", path)
            ask(app, "DELETE", path)


def test_no_malformed_template_makes_the_sandbox_fail(app: App) -> None:
    path = f"{paths.GROUP}/providers/Microsoft.Resources/deployments/new"
    resource = {"type": "Microsoft.Network/routeTables", "name": "[parameters('name')]", "dependsOn": ["x"]}
    found = {"parameters": {"name": {"defaultValue": "a"}}, "resources": [resource], "outputs": {}}
    properties = {"mode": "Incremental", "template": found, "parameters": {"name": {"value": "b"}}}
    for body in mutations({"properties": properties}):
        with contextlib.suppress(ArmError):
            ask(app, "PUT", path, body)


def test_a_value_of_the_wrong_type_is_named(app: App) -> None:
    body = paths.nic()
    body["properties"]["enableIPForwarding"] = "false"
    with pytest.raises(ArmError) as caught:
        ask(app, "PUT", paths.NIC, body)
    assert (caught.value.status, caught.value.code) == (400, "InvalidRequestFormat")
    assert "properties.enableIPForwarding must be true or false" in caught.value.message
