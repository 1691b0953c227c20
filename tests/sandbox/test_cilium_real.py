"""Two real clusters with the stand-ins in them: charts, routes of pods, names, ClusterMesh, volumes."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sandbox.fabric.fabric import Fabric
from sandbox.fabric.model import Network
from sandbox.instance import Instance
from sandbox.lifecycle import down
from tests.sandbox.cilium_lab import (
    CLUSTERS,
    PODS,
    SERVICES,
    CiliumLab,
    helm_chart,
    mesh_status,
)
from tests.sandbox.k3s_lab import MIRROR_CA, Kubectl
from tests.sandbox.mirror_fixtures import mirror_for_machines

pytestmark = [pytest.mark.machines, pytest.mark.timeout(900)]

SYSTEM = ("-n", "kube-system")
WEB = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.client_address[0].encode())
http.server.HTTPServer(("", 8000), Handler).serve_forever()
"""
MESH_DNS = {
    "apiVersion": "v1", "kind": "Service", "metadata": {"name": "mesh-dns", "namespace": "kube-system"},
    "spec": {
        "type": "NodePort", "selector": {"k8s-app": "kube-dns"},
        "ports": [
            {"name": name, "protocol": name.upper(), "port": 53, "nodePort": 30053} for name in ("udp", "tcp")
        ],
    },
}  # fmt: skip
PEER = """other.svc.cluster.local:53 {{
    errors
    forward . {address}:30053 {{
        force_tcp
        health_check 500ms
    }}
}}
"""


class Clusters:
    """The clusters, a kubectl for each, and the network that they are in."""

    def __init__(self, lab: CiliumLab, mirror_ca: str, kubectls: dict[str, Kubectl]) -> None:
        self.lab = lab
        self.mirror_ca = mirror_ca
        self.kubectls = kubectls

    def address(self, machine: str, pod: str) -> str:
        """Return the address of a pod."""
        return self.kubectls[machine]("get", "pod", pod, "-o", "jsonpath={.status.podIP}")

    def fetch(self, machine: str, url: str) -> str:
        """Fetch something from a pod; empty when nothing comes."""
        command = ("exec", "web", "--", "curl", "-sk", "--max-time", "2", url)
        return self.kubectls[machine].attempt(*command).stdout.strip()


def bring_up(lab: CiliumLab, mirror_ca: str, folder: Path, machine: str) -> Kubectl:
    lab.boot(machine)
    cidrs = {"cluster-cidr": PODS[machine], "service-cidr": SERVICES[machine]}
    lab.install(machine, "server", **{"cluster-init": True, "disable-kube-proxy": True}, **cidrs)
    lab.start(machine)
    kubectl = lab.kubectl(machine, folder)
    kubectl.until(lambda: kubectl("get", "crd", "helmcharts.helm.cattle.io"))
    kubectl("apply", "-f", "-", stdin=helm_chart(machine, lab, mirror_ca))
    kubectl("apply", "-f", "-", stdin=json.dumps(MESH_DNS))
    kubectl("create", "namespace", "other")
    for namespace in ("default", "other"):
        kubectl.until(lambda name=namespace: kubectl("-n", name, "get", "sa", "default"))
    kubectl("run", "web", "--image=alpine:3", "--restart=Never", "--", "python3", "-c", WEB)
    kubectl("expose", "pod", "web", "--port=80", "--target-port=8000", "--name=service")
    kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=180s")
    kubectl(*SYSTEM, "rollout", "status", "deploy/clustermesh-apiserver", "--timeout=120s")
    return kubectl


@pytest.fixture(scope="module")
def clusters(
    instance: Instance, base_image: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Clusters]:
    folder = tmp_path_factory.mktemp("clusters")
    Fabric(instance).apply(Network())  # the mirror listens at its edge
    try:
        with mirror_for_machines(instance, folder) as mirror_ca:
            lab = CiliumLab(instance, list(CLUSTERS), mirror_ca)
            lab.route_pods({})
            start = partial(bring_up, lab, mirror_ca, folder)
            with ThreadPoolExecutor(len(CLUSTERS)) as pool:
                kubectls = dict(zip(CLUSTERS, pool.map(start, CLUSTERS), strict=True))
            yield Clusters(lab, mirror_ca, kubectls)
    finally:
        down(instance)


def test_a_chart_is_installed_by_a_job_and_kept_as_a_release(clusters: Clusters) -> None:
    kubectl = clusters.kubectls["a4"]
    assert kubectl.json(*SYSTEM, "get", "job", "helm-install-cilium")["status"]["succeeded"] == 1
    (release,) = kubectl.json(*SYSTEM, "get", "secret", "-l", "owner=helm,name=cilium")["items"]
    assert release["metadata"]["labels"]["status"] == "deployed"
    status = kubectl.json(*SYSTEM, "get", "helmchart", "cilium")["status"]
    assert status["jobName"] == "helm-install-cilium"
    assert {entry["type"]: entry["status"] for entry in status["conditions"]} == {
        "JobCreated": "True",
        "Failed": "False",
    }


def test_charts_and_values_that_are_not_there_make_the_job_say_so(clusters: Clusters) -> None:
    kubectl = clusters.kubectls["a5"]
    chart = json.loads(helm_chart("a5", clusters.lab, clusters.mirror_ca))["items"][1]
    for name, changes in {
        "misspelt": {"valuesContent": json.dumps({"clusterr": {"id": 1}})},
        "unknown": {"chart": "traefik"},
    }.items():
        bad = chart | {"metadata": chart["metadata"] | {"name": name}, "spec": chart["spec"] | changes}
        kubectl("apply", "-f", "-", stdin=json.dumps(bad))
    for name, said in {
        "misspelt": "clusterr is no key of this chart",
        "unknown": '"traefik" not found',
    }.items():
        log = partial(kubectl, *SYSTEM, "logs", f"job/helm-install-{name}")
        kubectl.until(lambda log=log, said=said: said in log())
        kubectl(*SYSTEM, "delete", "helmchart", name, "--timeout=90s")
    assert kubectl(*SYSTEM, "get", "ds", "cilium")


def test_pods_of_two_nodes_reach_each_other_through_routes_only(clusters: Clusters) -> None:
    here, there = clusters.address("a4", "web"), clusters.address("a5", "web")
    clusters.lab.route_pods({})
    assert clusters.fetch("a4", f"http://{there}:8000") == ""
    clusters.lab.route_pods(PODS)
    assert clusters.fetch("a4", f"http://{there}:8000") == here  # the source address is the pod's own
    assert clusters.fetch("a5", f"http://{here}:8000") == there


def test_only_what_the_values_name_sees_the_address_of_a_pod(clusters: Clusters) -> None:
    clusters.lab.route_pods(PODS)
    mirror = clusters.lab.lab.instance.mirror_address
    assert clusters.fetch("a4", f"https://{mirror}/ip") == str(clusters.lab.lab.public(4))
    kubectl = clusters.kubectls["a4"]
    status = json.loads(kubectl(*SYSTEM, "exec", "ds/cilium", "--", "cilium-dbg", "status", "-o", "json"))
    assert status["masquerading"]["ip-masq-agent"]
    assert "10.1.0.0/16" in status["masquerading"]["non-masquerade-cidrs"]
    assert status["kube-proxy-replacement"] == {"mode": "True"}


def test_services_and_names_of_the_cluster_work(clusters: Clusters) -> None:
    assert clusters.fetch("a4", "http://service.default.svc.cluster.local")
    assert clusters.fetch("a4", "http://service")


def test_what_cilium_would_do_and_nobody_does_is_said_at_the_object(clusters: Clusters) -> None:
    kubectl = clusters.kubectls["a4"]
    kubectl("annotate", "service", "service", "service.cilium.io/global=true")
    policy = {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "closed"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }  # fmt: skip
    kubectl("apply", "-f", "-", stdin=json.dumps(policy))
    events = ("get", "events", "--field-selector=reason=NotEmulatedBySandbox")
    kubectl.until(lambda: len(kubectl.json(*events)["items"]) == 2)
    kubectl("delete", "networkpolicy", "closed")


def test_names_of_another_cluster_are_asked_there(clusters: Clusters) -> None:
    clusters.lab.route_pods(PODS)
    there = clusters.kubectls["a5"]
    there("-n", "other", "run", "target", "--image=alpine:3", "--", "sleep", "inf")
    there("-n", "other", "create", "service", "clusterip", "target", "--clusterip=None")
    there("-n", "other", "label", "pod", "target", "app=target")
    here = clusters.kubectls["a4"]
    custom = {
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "coredns-custom", "namespace": "kube-system"},
        "data": {"peers.server": PEER.format(address=clusters.lab.private("a5"))},
    }  # fmt: skip
    here("apply", "-f", "-", stdin=json.dumps(custom))
    here(*SYSTEM, "rollout", "restart", "deploy/coredns")
    here(*SYSTEM, "rollout", "status", "deploy/coredns", "--timeout=90s")
    there("-n", "other", "wait", "--for=condition=Ready", "pod/target", "--timeout=60s")
    address = there("-n", "other", "get", "pod", "target", "-o", "jsonpath={.status.podIP}")
    lookup = ("exec", "web", "--", "nslookup", "target.other.svc.cluster.local")
    assert here.until(lambda: address in here(*lookup))


def test_clusters_know_each_other_as_long_as_packets_get_through(clusters: Clusters) -> None:
    clusters.lab.route_pods(PODS)
    for kubectl in clusters.kubectls.values():
        kubectl.until(lambda kubectl=kubectl: mesh_status(kubectl)["ready"])
    assert mesh_status(clusters.kubectls["a4"])["num-nodes"] == 1
    clusters.lab.route_pods({"a4": PODS["a4"]})  # nothing comes back to the pods of a5
    lost = clusters.kubectls["a5"]
    lost.until(lambda: not mesh_status(lost)["connected"])
    program = ("deploy/clustermesh-apiserver", "-c", "kvstoremesh", "--", "clustermesh-apiserver")
    (remote,) = json.loads(lost(*SYSTEM, "exec", *program, "kvstoremesh-dbg", "status", "-o", "json"))
    assert not remote["connected"]
    clusters.lab.route_pods(PODS)
    lost.until(lambda: mesh_status(lost)["ready"])


def test_a_claim_gets_a_folder_of_its_node_that_goes_with_it(clusters: Clusters) -> None:
    kubectl = clusters.kubectls["a4"]
    claim: dict[str, Any] = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "store"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }  # fmt: skip
    container = {
        "name": "c", "image": "alpine:3", "command": ["sh", "-c", "echo kept >/data/file && sleep inf"],
        "volumeMounts": [{"name": "store", "mountPath": "/data"}],
    }  # fmt: skip
    volume = {"name": "store", "persistentVolumeClaim": {"claimName": "store"}}
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "keeper"},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container], "volumes": [volume]},
    }  # fmt: skip
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [claim, pod]}))
    kubectl("wait", "--for=condition=Ready", "pod/keeper", "--timeout=90s")
    path = kubectl("get", "pv", "-o", "jsonpath={.items[0].spec.hostPath.path}")
    with clusters.lab.shell("a4") as shell:
        assert shell.run(f"sudo cat {path}/file").strip() == "kept"
        kubectl("delete", "pod/keeper", "pvc/store", "--timeout=60s")
        kubectl.until(lambda: not kubectl.json("get", "pv")["items"])
        assert shell.run(f"sudo ls {Path(path).parent}").strip() == ""


def test_a_machine_that_was_powered_off_comes_back_with_everything(clusters: Clusters) -> None:
    clusters.lab.route_pods(PODS)
    clusters.lab.machines.kill("a4")
    other = clusters.kubectls["a5"]
    other.until(lambda: not mesh_status(other)["connected"])
    clusters.lab.boot("a4")
    other.until(lambda: mesh_status(other)["ready"])
    with clusters.lab.shell("a4") as shell:
        assert shell.run(f"ls {MIRROR_CA}")
