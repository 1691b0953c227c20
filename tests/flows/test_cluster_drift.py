"""What leads to the pods of a cluster, taken away behind our back: each is named, and only it."""

from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any

import pytest

from roachmesh import names
from roachmesh.drift import Finding
from roachmesh.errors import KubernetesBusy
from roachmesh.inventory import PodRoute
from tasks import cluster_drift, drift
from tasks.deployment import Deployment
from tasks.drift import survey, with_clusters
from tasks.machines import ensure_interface, ensure_public_address
from tasks.network import ensure_route_table, ensure_routes, ensure_security_group, ensure_virtual_network
from tasks.peering import ensure_peering
from tests.flows.conftest import Cloud

ROUTE = PodRoute(node="crdb-eastus-1", pods=IPv4Network("10.10.0.0/24"), address="10.1.1.4")


@pytest.fixture(scope="module")
def deployed(cloud: Cloud) -> Deployment:
    """A cluster of one node and a plain machine in another region, as far as packets go."""
    places = {"k3s": "eastus", "vm": "westus"}
    regions = [{"platform": platform, "name": name, "nodes": 1} for platform, name in places.items()]
    deployment = cloud.deployment(name="meshed", regions=regions)
    for region in deployment.plan.regions:
        for ensure in (ensure_security_group, ensure_route_table, ensure_virtual_network):
            ensure.fn(deployment, region)
        for make in (ensure_public_address, ensure_interface):
            make.fn(deployment, region, region.nodes[0])
    mend(deployment)
    return deployment


def mend(deployment: Deployment) -> None:
    """Do what a deployment would do about it."""
    ensure_peering.fn(deployment, *deployment.plan.regions)
    for region in deployment.plan.regions:
        ensure_interface.fn(deployment, region, region.nodes[0])
        ensure_routes.fn(deployment, region, [ROUTE])


@pytest.fixture
def network(cloud: Cloud, deployed: Deployment) -> Iterator[Any]:
    yield cloud.azure.network
    mend(deployed)
    assert amiss(deployed) == []


def amiss(deployment: Deployment) -> list[str]:
    """What is not as planned, machines left out."""
    planned = deployment.inventory.model_copy(update={"pod_routes": (ROUTE,)})
    types = ("networkSecurityGroups", "routeTables", "virtualNetworks", "Peerings", "networkInterfaces")
    findings = survey(deployment, (one for one in planned.networking() if one.type.endswith(types)))
    return [str(finding) for finding in findings if finding.state != "as planned"]


def test_a_route_to_pods_is_missed(network: Any, deployed: Deployment) -> None:
    table, route = names.route_table("westus"), names.pod_route("crdb-eastus-1")
    network.routes.begin_delete(deployed.resource_group, table, route).result()

    assert amiss(deployed) == [
        "route table rt-westus different (properties.routes[pods-crdb-eastus-1]: missing)"
    ]


def test_a_route_that_leads_elsewhere_is_named(network: Any, deployed: Deployment) -> None:
    moved = ROUTE.model_copy(update={"pods": IPv4Network("10.10.1.0/24")})
    ensure_routes.fn(deployed, deployed.plan.regions[1], [moved])

    assert amiss(deployed) == [
        "route table rt-westus different (properties.routes[pods-crdb-eastus-1].properties.addressPrefix: "
        "'10.10.1.0/24', wanted '10.10.0.0/24')"
    ]


def test_ip_forwarding_of_a_nodes_interface_is_missed(network: Any, deployed: Deployment) -> None:
    path = (deployed.resource_group, names.interface("crdb-eastus-1"))
    interface = network.network_interfaces.get(*path).as_dict()
    interface["properties"]["enableIPForwarding"] = False
    network.network_interfaces.begin_create_or_update(*path, interface).result()

    assert amiss(deployed) == [
        "NIC nic-crdb-eastus-1 different (properties.enableIPForwarding: False, wanted True)"
    ]


def test_a_peering_that_lets_no_forwarded_traffic_in_is_named(network: Any, deployed: Deployment) -> None:
    path = (deployed.resource_group, names.virtual_network("westus"), names.peering("eastus"))
    peering = network.virtual_network_peerings.get(*path).as_dict()
    peering["properties"]["allowForwardedTraffic"] = False
    network.virtual_network_peerings.begin_create_or_update(*path, peering).result()

    assert amiss(deployed) == [
        "peering vnet-westus/to-eastus different (properties.allowForwardedTraffic: False, wanted True)"
    ]


def test_what_cannot_be_reached_is_a_finding_and_hides_no_other(
    deployed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: Any) -> Any:
        raise KubernetesBusy("its API does not answer: connection refused", where="eastus")

    monkeypatch.setattr(cluster_drift, "kubernetes", silent)
    monkeypatch.setattr(cluster_drift, "disconnected", silent)
    monkeypatch.setattr(cluster_drift, "read_machine", silent)
    monkeypatch.setattr(drift.read_pod_routes, "fn", silent)
    known = Finding(label="NSG nsg-a", type="t", state="missing")

    said = "(eastus: its API does not answer: connection refused)"
    assert [str(finding) for finding in with_clusters(deployed, [known])] == [
        "NSG nsg-a missing",
        f"ranges of pods unreachable {said}",
        f"cluster eastus unreachable {said}",
        f"ClusterMesh of eastus unreachable {said}",
        f"machine crdb-westus-1 unreachable {said}",
    ]
