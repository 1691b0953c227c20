"""Azure compared with the plan: what is missing or different is named, and only that."""

from collections.abc import Iterator
from typing import Any

import pytest
from prefect import flow

from roachmesh import names
from roachmesh.drift import Finding
from roachmesh.errors import Drifted, NotDeployed
from tasks import drift
from tasks.deployment import Deployment
from tasks.drift import compare_with_plan, judge, survey, survey_all
from tasks.machines import (
    ensure_availability_set,
    ensure_data_disk,
    ensure_interface,
    ensure_public_address,
    ensure_virtual_machine,
)
from tasks.network import ensure_route_table, ensure_security_group, ensure_virtual_network
from tasks.peering import ensure_peering
from tests.flows.conftest import EVERYBODY, Cloud


@pytest.fixture(scope="module")
def deployed(cloud: Cloud) -> Deployment:
    """Two regions, one of them without zones, deployed as far as Azure goes."""
    regions = [{"platform": "vm", "name": name, "nodes": 1} for name in ("eastus", "westus")]
    deployment = cloud.deployment(name="drifting", pooler="none", regions=regions)
    for region in deployment.plan.regions:
        for ensure in (
            ensure_security_group,
            ensure_route_table,
            ensure_virtual_network,
            ensure_availability_set,
        ):
            ensure.fn(deployment, region)
        for node in region.nodes:
            for make in (
                ensure_public_address,
                ensure_interface,
                ensure_data_disk,
                ensure_virtual_machine,
            ):
                make.fn(deployment, region, node)
    ensure_peering.fn(deployment, *deployment.plan.regions)
    return deployment


@pytest.fixture(autouse=True)
def _no_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is there to be asked for certificates."""
    monkeypatch.setattr(drift, "survey_certificates", lambda _: [])


@pytest.fixture
def amiss(cloud: Cloud, deployed: Deployment) -> Iterator["Amiss"]:
    yield Amiss(cloud, deployed)
    for region in deployed.plan.regions:
        ensure_security_group.fn(deployed, region)
        ensure_interface.fn(deployed, region, region.nodes[0])
        ensure_virtual_machine.fn(deployed, region, region.nodes[0])
    ensure_peering.fn(deployed, *deployed.plan.regions)
    assert look(deployed) == []


class Amiss:
    """What somebody does behind our back."""

    def __init__(self, cloud: Cloud, deployment: Deployment) -> None:
        self.azure, self.deployment = cloud.azure, deployment
        self.group = deployment.resource_group
        self.network: Any = cloud.azure.network

    def lines(self) -> list[str]:
        return [str(finding) for finding in look(self.deployment)]


@flow
def compared(deployment: Deployment) -> list[Finding]:
    return compare_with_plan(deployment)


def look(deployment: Deployment) -> list[Finding]:
    return [one for one in survey(deployment, deployment.inventory.everything()) if one.state != "as planned"]


def test_what_was_just_deployed_is_as_planned(deployed: Deployment) -> None:
    assert look(deployed) == []
    assert compared(deployed) == []


def test_a_peering_that_lost_a_half_is_named_on_both_sides(amiss: Amiss) -> None:
    path = (amiss.group, names.virtual_network("eastus"), names.peering("westus"))
    amiss.network.virtual_network_peerings.begin_delete(*path).result()

    assert amiss.lines() == [
        "peering vnet-eastus/to-westus missing",
        "peering vnet-westus/to-eastus different "
        "(properties.peeringState: 'Disconnected', wanted 'Connected')",
    ]


def test_a_rule_that_somebody_added_is_named(amiss: Amiss) -> None:
    path = (amiss.group, names.security_group("eastus"))
    amiss.network.security_rules.begin_create_or_update(*path, "evil", EVERYBODY).result()

    assert amiss.lines() == ["NSG nsg-eastus different (properties.securityRules[evil]: not wanted)"]


def test_a_security_group_that_somebody_put_on_an_interface_is_named(amiss: Amiss) -> None:
    path = (amiss.group, names.interface("crdb-eastus-1"))
    interface = amiss.network.network_interfaces.get(*path).as_dict()
    group = amiss.deployment.inventory.security_group(amiss.deployment.plan.regions[0]).id
    interface["properties"]["networkSecurityGroup"] = {"id": group}
    amiss.network.network_interfaces.begin_create_or_update(*path, interface).result()

    (line,) = amiss.lines()

    assert line.startswith("NIC nic-crdb-eastus-1 different (properties.networkSecurityGroup: ")


def test_a_machine_that_stands_still_is_named_before_anything_is_tested(amiss: Amiss) -> None:
    amiss.azure.compute.virtual_machines.begin_power_off(amiss.group, "crdb-westus-1").result()

    with pytest.raises(Drifted, match=r"VM crdb-westus-1 not running \(it is stopped\)"):
        compared(amiss.deployment)


def test_drift_without_consequences_still_fails_the_verification(deployed: Deployment) -> None:
    judge(deployed, [])
    finding = Finding(label="NSG nsg-a", type="t", state="different", differences=("x",))
    with pytest.raises(Drifted, match=r"NSG nsg-a different \(x\)"):
        judge(deployed, [finding])


def test_a_machine_is_foreseen_to_be_replaced_and_another_network_to_be_changed(deployed: Deployment) -> None:
    region = deployed.plan.regions[0].model_copy(update={"size": "Standard_D8s_v5"})
    plan = deployed.plan.model_copy(update={"regions": (region, deployed.plan.regions[1])})
    operators = deployed.plan.regions[1].subnet
    changed = deployed.model_copy(update={"plan": plan, "operators": (operators,)})

    foreseen = {finding.label: finding.deploying_means for finding in look(changed)}

    assert foreseen == {
        "resource group roachmesh-drifting": "change it",
        "NSG nsg-eastus": "change it",
        "NSG nsg-westus": "change it",
        "VM crdb-eastus-1": "nothing: replace this machine",
    }


def test_nothing_at_all_is_no_drift_but_no_deployment(cloud: Cloud, deployed: Deployment) -> None:
    plan = deployed.plan.model_copy(update={"resource_group": "roachmesh-nowhere"})

    with pytest.raises(NotDeployed):
        compared(deployed.model_copy(update={"plan": plan}))


def test_what_no_topology_asks_for_any_more_is_named(deployed: Deployment) -> None:
    plan = deployed.plan.model_copy(update={"regions": deployed.plan.regions[:1]})
    smaller = deployed.model_copy(update={"plan": plan})

    left = [one for one in survey_all(smaller) if one.state == "not planned"]

    assert {one.label for one in left} == {
        "NSG nsg-westus",
        "route table rt-westus",
        "VNet vnet-westus",
        "availability set avail-westus",
        "public IP pip-crdb-westus-1",
        "NIC nic-crdb-westus-1",
        "data disk disk-crdb-westus-1",
        "VM crdb-westus-1",
    }
    assert {one.deploying_means for one in left} == {"leave it"}
