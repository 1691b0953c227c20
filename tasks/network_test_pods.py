"""The network test's part in k3s regions: on each node a pod that answers, and one that probes."""

import json
from collections.abc import Sequence

from blocks.logger import logger
from roachmesh import names, pods
from roachmesh.errors import KubernetesBusy, KubernetesRefused, RoachmeshError
from roachmesh.plan import Node, RegionPlan
from roachmesh.reachability import Endpoint, Observation
from roachmesh.render import network_test
from tasks.deployment import Deployment
from tasks.engine import always
from tasks.kubernetes import Body, Kubernetes, kubernetes
from tasks.network_test import ends, observed, probe_request
from tasks.sessions import program_text
from tasks.wait import wait_until

POD, JOB, SERVICE = "v1/Pod", "batch/v1/Job", "v1/Service"
START_TIMEOUT_S = 180.0  # the first time, the image is downloaded
PROBE_TIMEOUT_S = 240.0
ASK_EVERY_S = 0.5


@always("answer on pods of {region.name}")
def start_answering_pods(deployment: Deployment, region: RegionPlan, run: str) -> list[Endpoint]:
    """Have a pod answer on each node of a region, and a name for each; gives them in the nodes' order.

    Raises:
        NotReadyYet: naming the nodes whose pods do not run after 180 s, and why.
    """
    api = kubernetes(deployment, region)
    api.apply(network_test.answering(region, run, program_text("answer")))

    def all_run() -> list[Endpoint] | None:
        found = {pod["spec"]["nodeName"]: pod for pod in _pods(api, region.name, run, "answer")}
        absent = [node for node in region.nodes if not _is_up(found.get(node.name))]
        if absent:
            states = "; ".join(f"{node.name}: {_hindrance(found.get(node.name))}" for node in absent)
            raise KubernetesBusy(states, where=region.name)
        return [_endpoint(node, found[node.name], run) for node in region.nodes]

    return wait_until(
        all_run, what=f"pods on all nodes of {region.name}", timeout_s=START_TIMEOUT_S, every_s=ASK_EVERY_S
    )


@always("probe from pod on {node.name}")
def probe_from_pod(
    deployment: Deployment, node: Node, run: str, endpoints: Sequence[Endpoint]
) -> list[Observation]:
    """Try everything from a pod on a node to all others at once; what fails is tried again for 20 s.

    Raises:
        KubernetesRefused: the pod fails, and with what words.
        NotReadyYet: it does not end within 240 s.
    """
    api = kubernetes(deployment, deployment.plan.region_of(node))
    source, targets = ends(_name(node), endpoints)
    request = json.dumps(probe_request(targets))
    api.apply([network_test.probing(node, run, program_text("probe"), request)])

    def ended() -> Body | None:
        found = _pods(api, node.region, run, "probe", fields=f"spec.nodeName={node.name}")
        if found and _phase(found[0]) in ("Succeeded", "Failed"):
            return found[0]
        raise KubernetesBusy(_hindrance(found[0] if found else None), where=node.name)

    pod = wait_until(
        ended, what=f"the probe of the {_name(node)}", timeout_s=PROBE_TIMEOUT_S, every_s=ASK_EVERY_S
    )
    said = api.logs(names.namespace(node.region), pod["metadata"]["name"])
    if _phase(pod) == "Failed":
        last = said.strip().splitlines()[-1:] or [_hindrance(pod)]
        raise KubernetesRefused(f"the network test's pod failed: {last[0]}", where=node.name)
    return observed(source, targets, json.loads(said))


def remove_pods(deployment: Deployment, region: RegionPlan, run: str) -> None:
    """Delete what a run of the test has left in a region, and what others left that are over.

    The Service goes with the last of them. Whatever hinders that is said in the log and nothing more: what
    is left ends by itself.
    """
    namespace = names.namespace(region.name)
    try:
        api = kubernetes(deployment, region)
        found = api.list(JOB, namespace, labels=f"{network_test.NAME_LABEL}={names.NETWORK_TEST}")
        over = [job for job in found if _is_of(job, run) or job.get("status", {}).get("conditions")]
        for job in over:
            api.delete(JOB, job["metadata"]["name"], namespace)
        if len(over) == len(found):
            api.delete(SERVICE, names.NETWORK_TEST, namespace)
    except RoachmeshError as exc:
        logger().warning("the network test's pods are left to end by themselves: %s", exc)


def _pods(api: Kubernetes, region: str, run: str, role: network_test.Role, *, fields: str = "") -> list[Body]:
    labels = ",".join(f"{key}={value}" for key, value in network_test.labels(run, role).items())
    return api.list(POD, names.namespace(region), labels=labels, fields=fields)


def _is_of(job: Body, run: str) -> bool:
    return bool(job["metadata"]["labels"][network_test.RUN_LABEL] == run)


def _name(node: Node) -> str:
    return f"pod on {node.name}"


def _endpoint(node: Node, pod: Body, run: str) -> Endpoint:
    return Endpoint(
        name=_name(node),
        region=node.region,
        address=pod["status"]["podIP"],
        host=names.test_pod_host(node.region, names.test_pod(node.name, run)),
        answers=True,
    )


def _phase(pod: Body) -> str:
    return str(pod["status"].get("phase", "Pending"))


def _is_up(pod: Body | None) -> bool:
    return pod is not None and pods.is_running(pod) and "podIP" in pod["status"]


def _hindrance(pod: Body | None) -> str:
    return pods.hindrance(pod) if pod else "no pod yet"
