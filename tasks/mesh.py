"""Cilium's ClusterMesh: whether every cluster knows every other."""

import json
from collections.abc import Sequence
from typing import Any

from roachmesh.errors import KubernetesBusy
from roachmesh.plan import RegionPlan
from roachmesh.render.cilium import NAMESPACE
from tasks.deployment import Deployment
from tasks.engine import always
from tasks.kubernetes import Kubernetes, kubernetes
from tasks.wait import wait_until

CONNECTED_TIMEOUT_S = 300.0

# Two programs know of other clusters: kvstoremesh, in one pod, is connected to them; the agents, on every
# node, are told by it. Source: "KVStoreMesh" and "Cluster Mesh Troubleshooting", Cilium documentation.
AGENTS = "k8s-app=cilium"
AGENT_STATUS = ["cilium-dbg", "status", "-o", "json"]
KVSTOREMESH_PODS, KVSTOREMESH = "k8s-app=clustermesh-apiserver", "kvstoremesh"
KVSTOREMESH_STATUS = ["clustermesh-apiserver", "kvstoremesh-dbg", "status", "-o", "json"]

Remote = dict[str, Any]  # a `RemoteCluster` of Cilium's API


@always("ClusterMesh {region.name}")
def wait_for_clustermesh(deployment: Deployment, region: RegionPlan) -> None:
    """Wait until a cluster is connected to every other.

    Raises:
        NotReadyYet: naming those that it is not connected to after 300 s.
    """

    def all_connected() -> bool:
        lines = disconnected(deployment, region)
        if lines:
            raise KubernetesBusy("; ".join(lines))
        return True

    wait_until(
        all_connected,
        what=f"{region.name} in ClusterMesh",
        timeout_s=CONNECTED_TIMEOUT_S,
        advice="`kubectl -n kube-system logs deploy/clustermesh-apiserver -c kvstoremesh` may say more.",
    )


def disconnected(deployment: Deployment, region: RegionPlan) -> list[str]:
    """Name the clusters that a cluster should be connected to and is not, and why; none if it is alone."""
    peers = deployment.plan.peers_of(region)
    if not peers:
        return []
    api = kubernetes(deployment, region)
    asked = {
        KVSTOREMESH: _ask(api, KVSTOREMESH_PODS, KVSTOREMESH_STATUS, container=KVSTOREMESH),
        "agent": _ask(api, AGENTS, AGENT_STATUS)["cluster-mesh"]["clusters"],
    }
    return [line for who, remotes in asked.items() for line in missing(region, peers, who, remotes or [])]


def missing(
    region: RegionPlan, peers: Sequence[RegionPlan], who: str, remotes: Sequence[Remote]
) -> list[str]:
    """Compare what one of the two says with the clusters that it should know; names both ends."""
    known = {remote["name"]: remote for remote in remotes}
    lines = []
    for peer in peers:
        remote = known.get(peer.name)
        if remote is None:
            lines.append(f"the {who} of {region.name} does not know of {peer.name}")
        elif not (remote["connected"] and remote["ready"]):
            said = remote["status"].strip()
            lines.append(f"the {who} of {region.name} is not connected to {peer.name}: {said}")
        elif remote["num-nodes"] < len(peer.nodes):
            count = f"{remote['num-nodes']} nodes of {peer.name} instead of {len(peer.nodes)}"
            lines.append(f"the {who} of {region.name} knows {count}")
    return lines


def _ask(api: Kubernetes, labels: str, command: list[str], *, container: str = "") -> Any:
    """Ask the first pod with these labels that runs."""
    pods = api.list("v1/Pod", NAMESPACE, labels=labels, fields="status.phase=Running")
    if not pods:
        raise KubernetesBusy(f"no pod with {labels} runs in {NAMESPACE}.", where=api.region)
    name = pods[0]["metadata"]["name"]
    return json.loads(api.run(NAMESPACE, name, command, container=container))
