"""Deployments in clusters: wait until all their pods are what they say now, and if not, say why."""

from collections.abc import Mapping
from typing import Any

from roachmesh import pods
from roachmesh.drift import Finding
from roachmesh.errors import KubernetesBusy
from tasks.kubernetes import Kubernetes
from tasks.looks import compared
from tasks.wait import wait_until

DEPLOYMENT = "apps/v1/Deployment"


def wait_until_rolled_out(cluster: Kubernetes, name: str, namespace: str, timeout_s: float) -> None:
    """Wait until a Deployment's pods are ready, each as it says now, and the former ones are gone.

    Source: the rules of `kubectl rollout status`.

    Raises:
        NotReadyYet: they are not in time, and why.
    """

    def rolled_out() -> bool:
        found = cluster.read(DEPLOYMENT, name, namespace)
        if found is None:
            raise KubernetesBusy(f"there is no Deployment {name}", where=cluster.region)
        if not _is_rolled_out(found):
            raise KubernetesBusy(_why(cluster, found, namespace), where=cluster.region)
        return True

    wait_until(
        rolled_out,
        what=f"pods of {name} in {cluster.region}",
        timeout_s=timeout_s,
        every_s=1.0,
        advice=f"See `kubectl -n {namespace} describe pods`, by way of `roachmesh kubeconfig`.",
    )


def at_pods(cluster: Kubernetes, name: str, namespace: str) -> Finding:
    """Say whether all pods of a Deployment do their work."""
    found = cluster.read(DEPLOYMENT, name, namespace) or {}
    ready = found.get("status", {}).get("availableReplicas", 0)
    wanted = found.get("spec", {}).get("replicas", 1)
    lines = [f"{ready} of {wanted} are ready"] if ready < wanted else []
    return compared(f"pods of {name} in {cluster.region}", "Pod", lines)


def _is_rolled_out(found: Mapping[str, Any]) -> bool:
    status, wanted = found.get("status", {}), found["spec"]["replicas"]
    return bool(
        status.get("observedGeneration", 0) >= found["metadata"]["generation"]
        and status.get("updatedReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
    )


def _why(cluster: Kubernetes, found: Mapping[str, Any], namespace: str) -> str:
    labels = ",".join(f"{key}={value}" for key, value in found["spec"]["selector"]["matchLabels"].items())
    of_it = cluster.list("v1/Pod", namespace, labels=labels)
    events = cluster.list("v1/Event", namespace)
    unwell = [
        " ".join([f"{pods.name(pod)}: {pods.hindrance(pod)}.", pods.last_warning(events, pods.name(pod))])
        for pod in of_it
        if not pods.is_ready(pod)
    ]
    ready = found.get("status", {}).get("availableReplicas", 0)
    return "; ".join([f"{ready} of {found['spec']['replicas']} pods are ready", *unwell]).strip()
