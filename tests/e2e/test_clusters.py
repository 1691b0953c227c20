"""Clusters and machines in one database: deployed, unchanged by a second run, found when something goes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from roachmesh import names
from roachmesh.plan import make_plan
from roachmesh.pods import is_ready
from roachmesh.topology import parse
from tests.e2e.conftest import Azure, World, fault

pytestmark = [pytest.mark.machines, pytest.mark.timeout(1200)]

MIXED = {
    "name": "mixed",
    "application": {
        "kind": "image",
        "image": "docker.io/sosedoff/pgweb",
        "tag": "0.17.0",
        "port": 8081,
        "environment": [{"name": "PGWEB_LOCK_SESSION", "value": "1"}],
        "replicas": 2,
    },
    "regions": [
        {"platform": "k3s", "name": "eastus", "nodes": 2},  # a server and an agent
        {"platform": "k3s", "name": "westus", "nodes": 1},
        {"platform": "vm", "name": "northeurope", "nodes": 1},
    ],
}
PLAN = make_plan(parse(MIXED))
DONE_S, REAPPEARS_S = 240.0, 240.0
KUBECTL = str(Path(sys.executable).with_name("kubectl"))


class Mixed:
    """The deployed topology, and kubectl for its clusters."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.file = directory / "mixed.yaml"
        self.file.write_text(yaml.safe_dump(MIXED))
        self.kubeconfig = directory / "kubeconfig"

    def roachmesh(self, verb: str, *arguments: str) -> str:
        return self.world.roachmesh(verb, str(self.file), *arguments)

    def kubectl(self, region: str, *arguments: str) -> str:
        command = [KUBECTL, f"--context=mixed-{region}", *arguments]
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def objects(self, region: str) -> dict[str, str]:
        """The versions of everything that a deployment applies."""
        kinds = "configmaps,secrets,services,statefulsets,deployments,poddisruptionbudgets"
        kinds += ",helmcharts.helm.cattle.io"
        found = json.loads(self.kubectl(region, "get", kinds, "-A", "-o", "json", "--show-managed-fields"))
        return {
            f"{one['kind']} {one['metadata']['name']}": one["metadata"]["resourceVersion"]
            for one in found["items"]
            if any(field["manager"] == "roachmesh" for field in one["metadata"].get("managedFields", []))
        }

    def pod(self, region: str, name: str) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(
            self.kubectl(region, "get", "pod", name, "-n", f"crdb-{region}", "-o", "json")
        )
        return read

    def until_completed(self, run_id: str, task: str) -> None:
        """Wait until a run under way is past a task of a region."""
        wanted = {
            "flow_runs": {"parent_flow_run_id": {"any_": [run_id]}},
            "task_runs": {"name": {"any_": [task]}, "state": {"type": {"any_": ["COMPLETED"]}}},
        }
        deadline = time.monotonic() + DONE_S
        while not self.world.prefect("/task_runs/filter", wanted):
            assert time.monotonic() < deadline, self.world.report()
            time.sleep(0.5)


@pytest.fixture(scope="module")
def mixed(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mixed]:
    """Deployed while k3s is restarted on the only server of a region, whose agent is about to join."""
    mixed = Mixed(world, tmp_path_factory.mktemp("mixed"))
    run_id = world.start("deploy", {"topology": MIXED})
    mixed.until_completed(run_id, "Cilium eastus")
    mixed.roachmesh("ssh", "eastus/1", "--", "sudo", "systemctl", "restart", "k3s")
    world.wait(run_id)
    mixed.roachmesh("kubeconfig", "--output", str(mixed.kubeconfig))
    yield mixed
    mixed.roachmesh("destroy", "--yes")


def test_all_nodes_are_live_those_in_pods_too(mixed: Mixed) -> None:
    status = json.loads(mixed.roachmesh("status", "--json"))

    assert {node["name"]: node["live"] for node in status["nodes"]} == {
        node.name: True for node in PLAN.nodes
    }
    assert status["mesh"] == {"eastus": "", "westus": ""}
    labelled = ("-l", "app.kubernetes.io/name=cockroachdb", "-o", "json")
    pods = json.loads(mixed.kubectl("eastus", "get", "pods", "-n", "crdb-eastus", *labelled))["items"]
    assert len(pods) == 2


def test_a_row_of_each_region_is_read_in_every_other(mixed: Mixed) -> None:
    query = "SELECT DISTINCT region FROM roachmesh_verify ORDER BY region"

    for region in PLAN.regions:
        said = mixed.roachmesh("sql", "--node", region.name, "--", "-Atqc", r"\c movr", "-c", query)
        assert said.split() == ["eastus", "northeurope", "westus"]


def test_an_image_of_the_users_asks_the_database_through_the_pooler_of_its_region(mixed: Mixed) -> None:
    url = "http://{}:30080/api/query?query=SELECT%20current_user%20AS%20me,%20region%20FROM%20"
    url += "(VALUES%20(current_database()))%20AS%20v(region)"

    for region in PLAN.clusters:
        node = region.nodes[0]
        asked = f"curl -sf '{url.format(node.address)}'"
        answer = json.loads(mixed.roachmesh("ssh", f"{region.name}/{node.number}", "--", asked))
        assert answer["rows"] == [["app", "movr"]]
    listed = json.loads(mixed.kubectl("eastus", "get", "pods", "-n", "crdb-eastus", "-o", "json"))["items"]
    described = json.dumps([one["spec"]["containers"] for one in listed])
    assert "PGWEB_LOCK_SESSION" in described
    assert "sslmode" not in described  # the URL, and with it the password, stays in the Secret


def test_a_second_deployment_changes_nothing(mixed: Mixed) -> None:
    writes = mixed.world.arm_writes()
    objects = {region.name: mixed.objects(region.name) for region in PLAN.clusters}

    mixed.roachmesh("deploy")

    assert mixed.world.arm_writes() == writes
    assert {region.name: mixed.objects(region.name) for region in PLAN.clusters} == objects
    assert len(objects["eastus"]) > 5


def test_a_pod_that_is_deleted_comes_back_and_takes_part(mixed: Mixed) -> None:
    before = mixed.pod("eastus", "cockroachdb-1")
    mixed.kubectl("eastus", "delete", "pod", "cockroachdb-1", "-n", "crdb-eastus")

    deadline = time.monotonic() + REAPPEARS_S
    while not is_ready(after := mixed.pod("eastus", "cockroachdb-1")):
        assert time.monotonic() < deadline, after["status"]
        time.sleep(1)

    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["spec"]["nodeName"] == before["spec"]["nodeName"]
    mixed.roachmesh("verify")


def test_each_thing_that_is_taken_away_is_named(mixed: Mixed, world: World, azure: Azure) -> None:
    group = PLAN.resource_group
    route, westus = names.pod_route("crdb-westus-1"), "vnet-westus"
    azure.network.routes.begin_delete(group, "rt-northeurope", route).result()
    interface = azure.network.network_interfaces.get(group, "nic-crdb-eastus-2").as_dict()
    interface["properties"]["enableIPForwarding"] = False
    azure.network.network_interfaces.begin_create_or_update(group, "nic-crdb-eastus-2", interface).result()
    half = azure.network.virtual_network_peerings.get(group, westus, "to-eastus").as_dict()
    half["properties"]["allowForwardedTraffic"] = False
    azure.network.virtual_network_peerings.begin_create_or_update(group, westus, "to-eastus", half).result()
    mixed.kubectl("eastus", "-n", "kube-system", "delete", "configmap", "coredns-custom")
    without = '{"data": {"westus": null}}'
    mixed.kubectl("eastus", "-n", "kube-system", "patch", "secret", "cilium-clustermesh", "-p", without)

    said = world.roachmesh_fails("verify", str(mixed.file), code=20)

    for thing in (
        "route table rt-northeurope",
        "NIC nic-crdb-eastus-2",
        "peering vnet-westus/to-eastus",
        "ConfigMap coredns-custom of eastus",
        "Cilium of eastus",
    ):
        assert thing in said


def test_what_was_taken_away_is_healed_and_a_machine_replaced_with_its_routes(
    mixed: Mixed, azure: Azure
) -> None:
    azure.compute.virtual_machines.begin_delete(PLAN.resource_group, "crdb-eastus-2").result()

    mixed.roachmesh("deploy")
    mixed.roachmesh("verify")


def test_packets_of_pods_that_are_lost_while_azure_is_as_planned_are_told_as_that(
    mixed: Mixed, world: World
) -> None:
    fault("add", "cut", "between=eastus,northeurope", "only=10.10.0.0/16")
    try:
        said = world.roachmesh_fails("verify", str(mixed.file), code=20)
    finally:
        fault("clear")

    assert "match the plan: packets are lost all the same" in said
