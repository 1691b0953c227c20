"""Two clusters of a node each, with Cilium by HelmChart, in one network whose routes a test may change."""

import base64
import copy
import json
from typing import Any

from sandbox.fabric.model import UserDefinedRoute
from tests.sandbox.cilium_values import GOOD
from tests.sandbox.fabric_lab import group, route, rule, virtual_network
from tests.sandbox.k3s_lab import K3sLab, Kubectl

CLUSTERS = {"a4": "eastus", "a5": "westus"}
MACHINES = {name: machine for machine, name in CLUSTERS.items()}
PODS = {"a4": "10.10.0.0/16", "a5": "10.11.0.0/16"}
SERVICES = {"a4": "10.20.0.0/16", "a5": "10.21.0.0/16"}


class CiliumLab(K3sLab):
    """Machines that forward, and routes to the pods of each."""

    def route_pods(self, pods: dict[str, str]) -> None:
        """Let packets to these ranges go to these machines, and no others."""
        operator = rule(100, source=str(self.lab.instance.host_address), protocol="Tcp", ports=("22", "6443"))
        mesh = rule(110, source="10.0.0.0/8", destination="10.0.0.0/8")
        routes: tuple[UserDefinedRoute, ...] = tuple(
            route(prefix, self.private(machine)) for machine, prefix in pods.items()
        )
        network = virtual_network(1, security_group=group(operator, mesh), routes=routes)
        self.lab.apply([network], [self._interface(machine) for machine in CLUSTERS])

    def install(self, machine: str, command: str, **config: Any) -> None:
        """Put k3s on a machine that has no plugins where containerd looks for them."""
        super().install(machine, command, **config)
        with self.shell(machine) as shell:
            shell.run("sudo rm -f /opt/cni/bin")

    def _interface(self, machine: str) -> Any:
        interface = self.lab.forwarding(machine)
        return type(interface)(**vars(interface) | {"public_address": self.lab.public(int(machine[1:]))})


def helm_chart(machine: str, lab: CiliumLab, mirror_ca: str, **changes: Any) -> str:
    """Return the objects that install Cilium in a cluster, the authority of the mesh in a Secret."""
    values = copy.deepcopy(GOOD)
    authority = values.pop("tls")
    values["cluster"] = {"name": CLUSTERS[machine], "id": list(CLUSTERS).index(machine) + 1}
    values["ipMasqAgent"]["config"]["nonMasqueradeCIDRs"] = [*PODS.values(), "10.1.0.0/16"]
    values["clustermesh"]["config"]["clusters"] = [
        {"name": name, "port": 32379, "ips": [lab.private(other)]}
        for other, name in CLUSTERS.items()
        if other != machine
    ]
    values |= changes
    secret = {
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "cilium-mesh-ca", "namespace": "kube-system"},
        "data": {"tls": base64.b64encode(json.dumps({"tls": authority}).encode()).decode()},
    }  # fmt: skip
    chart = {
        "apiVersion": "helm.cattle.io/v1", "kind": "HelmChart",
        "metadata": {"name": "cilium", "namespace": "kube-system"},
        "spec": {
            "chart": "cilium", "repo": f"https://{lab.lab.instance.mirror_address}/helm.cilium.io",
            "repoCA": mirror_ca, "version": "1.20.5", "targetNamespace": "kube-system", "bootstrap": True,
            "failurePolicy": "abort", "valuesContent": json.dumps(values),
            "valuesSecrets": [{"name": "cilium-mesh-ca", "keys": ["tls"]}],
        },
    }  # fmt: skip
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [secret, chart]})


def mesh_status(kubectl: Kubectl) -> dict[str, Any]:
    """Return what the agent of a cluster's only node says of the other cluster."""
    command = ("-n", "kube-system", "exec", "ds/cilium", "--", "cilium-dbg", "status", "-o", "json")
    (remote,) = json.loads(kubectl(*command))["cluster-mesh"]["clusters"]
    found: dict[str, Any] = remote
    return found
