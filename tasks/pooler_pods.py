"""Poolers in the pods of a k3s region: objects of the Kubernetes API, their rollout, their reload."""

from collections.abc import Mapping, Sequence
from typing import Any

from blocks.logger import logger
from roachmesh import names, pods
from roachmesh.outcome import Outcome
from roachmesh.plan import RegionPlan
from roachmesh.pooler import AUTHORITY, CERTIFICATE, Pooler
from roachmesh.render import pooler_pods as render
from roachmesh.render import poolers
from roachmesh.render.kubernetes import DISRUPTION_BUDGET_VERSIONS
from tasks import certificates
from tasks.deployment import Deployment
from tasks.engine import once
from tasks.hosts import session
from tasks.kubernetes import Kubernetes, kubernetes
from tasks.machines import Machine
from tasks.poolers import wait_until_it_serves
from tasks.rollouts import DEPLOYMENT, wait_until_rolled_out
from tasks.wait import wait_until

SECRET, SERVICE = "v1/Secret", "v1/Service"
BUDGET = "PodDisruptionBudget"
RUNNING_TIMEOUT_S = 600.0  # the image is pulled first
RELOADED_TIMEOUT_S = 180.0  # a kubelet that is not asked looks at Secrets every minute


@once("pooler {region.name}")
def ensure_pooler_in_pods(deployment: Deployment, region: RegionPlan, machines: Sequence[Machine]) -> Outcome:
    """Have a region's poolers as their objects say, every pod knowing its files, and no other pooler.

    Args:
        deployment: Whose poolers they are.
        region: A region on k3s.
        machines: Its machines; clients may look for poolers at each of them.

    Raises:
        NotReadyYet: not all pods are ready after 10 minutes, and why; or one has not got its files after 3.
    """
    cluster = kubernetes(deployment, region)
    wanted = poolers.POOLERS.get(deployment.plan.pooler)
    others = [pooler for pooler in poolers.POOLERS.values() if pooler is not wanted]
    removed = [_remove(cluster, region, pooler) for pooler in others]
    if wanted is None:
        return Outcome.of(f"no pooler in {region.name}", new=False, changed=any(removed))
    new = cluster.read(DEPLOYMENT, wanted.name, names.namespace(region.name)) is None
    texts = _texts(deployment, region, machines, cluster, wanted)
    changed = _apply(cluster, region, wanted, texts)
    found = read_pods(cluster, region, wanted)
    reloaded = [_ensure_reloaded(cluster, region, wanted, pod, render.revision(texts)) for pod in found]
    host = session(deployment, machines[0].host)
    for pod in found:
        wait_until_it_serves(host, pod["status"]["podIP"], texts[f"{CERTIFICATE}.crt"], pods.name(pod))
    done = changed or any(reloaded) or any(removed)
    return Outcome.of(f"{wanted.title} in {region.name}", new=new, changed=done)


def _apply(cluster: Kubernetes, region: RegionPlan, pooler: Pooler, texts: Mapping[str, str]) -> bool:
    """Have all objects, and pods that are ready; tells whether one was different."""
    budget_version = cluster.newest(BUDGET, DISRUPTION_BUDGET_VERSIONS)
    changed = cluster.apply(render.objects(region, pooler, texts, budget_version))
    if changed:
        logger().info("changed %s", ", ".join(changed))
    wait_until_rolled_out(cluster, pooler.name, names.namespace(region.name), RUNNING_TIMEOUT_S)
    return bool(changed)


def _remove(cluster: Kubernetes, region: RegionPlan, pooler: Pooler) -> bool:
    """Delete whatever there is of a pooler; the Service first, whose port the next one wants."""
    namespace = names.namespace(region.name)
    budget = f"{cluster.newest(BUDGET, DISRUPTION_BUDGET_VERSIONS)}/{BUDGET}"
    kinds = (SERVICE, SECRET, budget, DEPLOYMENT)
    existing = [kind for kind in kinds if cluster.read(kind, pooler.name, namespace)]
    for kind in existing:
        cluster.delete(kind, pooler.name, namespace)
    if existing:
        logger().info("deleted %s", pooler.title)
    return bool(existing)


def _texts(
    deployment: Deployment,
    region: RegionPlan,
    machines: Sequence[Machine],
    cluster: Kubernetes,
    pooler: Pooler,
) -> dict[str, str]:
    """Give all files of a region's poolers; a certificate that still serves is the Secret's."""
    block = deployment.certificates()
    purpose = poolers.purpose(deployment.plan, region, [machine.host.address for machine in machines])
    found = cluster.read_secret(pooler.name, names.namespace(region.name))
    pair = certificates.in_secret(found, block, {CERTIFICATE: purpose}, where=f"poolers of {region.name}")
    backend = poolers.in_pods(deployment.plan, region, deployment.passwords())
    return {**pooler.files(backend), AUTHORITY: block.ca_certificate, **pair}


def read_pods(cluster: Kubernetes, region: RegionPlan, pooler: Pooler) -> list[dict[str, Any]]:
    """Read the pods that are there to stay."""
    labels = ",".join(f"{key}={value}" for key, value in render.labels(pooler).items())
    found = cluster.list("v1/Pod", names.namespace(region.name), labels=labels)
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def _ensure_reloaded(
    cluster: Kubernetes, region: RegionPlan, pooler: Pooler, pod: Mapping[str, Any], revision: str
) -> bool:
    """Have a pod read its files as they are now, once; an annotation remembers which ones it has read."""
    name, namespace = pods.name(pod), names.namespace(region.name)
    if (pod["metadata"].get("annotations") or {}).get(render.LOADED) == revision:
        return False
    # A pod that changes makes its kubelet look after the pod's volumes at once.
    cluster.apply([render.annotated(region, name, render.ASKED, revision)])
    command = ["sh", "-c", render.RELOAD, pooler.directory, revision]
    wait_until(
        lambda: "reloaded" in cluster.run(namespace, name, command, container=pooler.name),
        what=f"the new files in pod {name} of {region.name}",
        timeout_s=RELOADED_TIMEOUT_S,
        advice=f"See `kubectl -n {namespace} describe pod {name}`, by way of `roachmesh kubeconfig`.",
    )
    cluster.apply([render.annotated(region, name, render.LOADED, revision)])
    return True
