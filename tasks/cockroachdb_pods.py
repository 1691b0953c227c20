"""CockroachDB in the pods of a k3s region: certificates, objects of the Kubernetes API, their rollout."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from ipaddress import IPv4Address
from typing import Any
from uuid import uuid4

from blocks.logger import logger
from roachmesh import certificates as purposes
from roachmesh import names, pods
from roachmesh.certificates import Purpose
from roachmesh.errors import DatabaseBusy, InvalidTopology
from roachmesh.outcome import Outcome
from roachmesh.plan import RegionPlan
from roachmesh.render import kubernetes as render
from tasks import certificates
from tasks.cockroachdb import READY_TIMEOUT_S, restarting
from tasks.deployment import Deployment
from tasks.engine import always, once
from tasks.kubernetes import Kubernetes, kubernetes
from tasks.machines import Machine
from tasks.wait import wait_until

RUNNING_TIMEOUT_S = 900.0  # the image is pulled first
LINES_QUOTED = 3
STATEFUL_SET = "apps/v1/StatefulSet"

# Files come as their names and lines, an empty line behind each; PEM has none of its own.
WITH_FILES = """\
set -eu
umask 077
folder=$1
shift
mkdir "$folder"
trap 'rm -r "$folder"' EXIT
trap 'exit 143' HUP INT TERM
while IFS= read -r name; do
  while IFS= read -r line && [ -n "$line" ]; do printf '%s\\n' "$line"; done >"$folder/$name"
done
"$@" </dev/null
"""


@once("CockroachDB in pods {region.name}")
def ensure_cockroachdb_in_pods(deployment: Deployment, region: RegionPlan) -> Outcome:
    """Have a region's database as its objects say, and every pod running what was asked for.

    Pods are started all at once. What exists is changed only while no other node is being restarted,
    and Kubernetes replaces its pods one after the other, each ready before the next.

    Raises:
        InvalidTopology: pods with their data would go.
        NotReadyYet: not all pods run after 15 minutes, and why; or those that did are not ready again.
    """
    cluster = kubernetes(deployment, region)
    existing = _stateful_set(cluster, region)
    what = f"CockroachDB in pods of {region.name}"
    if existing is None:
        cluster.apply(_objects(deployment, region, cluster, existing))
        _wait_until_running(cluster, region)
        return Outcome(what=what, change="created")
    _refuse_fewer(region, existing)
    with restarting:
        was_ready = pods.is_rolled_out(existing)
        changed = cluster.apply(_objects(deployment, region, cluster, existing))
        if changed:
            logger().info("changed %s", ", ".join(changed))
        if changed and was_ready:
            _wait_until_rolled_out(cluster, region, READY_TIMEOUT_S * len(region.nodes))
    _wait_until_running(cluster, region)
    return Outcome(what=what, change="updated" if changed else "unchanged")


@always("pods ready {region.name}")
def wait_for_pods_ready(deployment: Deployment, region: RegionPlan) -> None:
    """Wait until every pod of a region takes part in the cluster.

    Raises:
        NotReadyYet: some do not after 600 s, and why.
    """
    _wait_until_rolled_out(kubernetes(deployment, region), region, READY_TIMEOUT_S)


def read_pods(
    deployment: Deployment, region: RegionPlan
) -> tuple[dict[str, Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Read a region's database pods: by the names of the nodes that they stand on, and those on none."""
    found = _pods(kubernetes(deployment, region), region)
    on_nodes: dict[str, Mapping[str, Any]] = {
        pod["spec"]["nodeName"]: pod for pod in found if pod["spec"].get("nodeName")
    }
    nowhere: list[Mapping[str, Any]] = [pod for pod in found if not pod["spec"].get("nodeName")]
    return on_nodes, nowhere


class PodNode:
    """The node of the database in a pod, known by the machine that the pod stands on."""

    def __init__(self, deployment: Deployment, region: RegionPlan, machine: Machine) -> None:
        self._cluster = kubernetes(deployment, region)
        self._region = region
        self._machine = machine

    @property
    def host(self) -> str:
        """What its certificate names it."""
        return names.pod_host(self._region.name, pods.name(self._pod))

    @property
    def listens_on(self) -> IPv4Address:
        """Where SQL is, seen from its machine."""
        address = self._pod["status"].get("podIP")
        if address is None:
            raise DatabaseBusy(pods.hindrance(self._pod), where=pods.name(self._pod))
        return IPv4Address(address)

    def is_ready(self) -> bool:
        """Ask whether it takes part in a cluster."""
        return pods.is_ready(self._pod)

    def run(self, command: Sequence[str], files: Mapping[str, str], timeout_s: int) -> str:
        """Run `cockroach` where the node runs.

        The files come through the session and exist in memory, for its user alone and while the command
        runs; `{files}` in the command stands for the directory that they are in.
        """
        folder = f"{render.MEMORY_DIR}/roachmesh-{uuid4()}"
        words = [word.replace("{files}", folder) for word in (render.BINARY, *command)]
        return self._cluster.run(
            names.namespace(self._region.name),
            pods.name(self._pod),
            ["sh", "-c", WITH_FILES, "sh", folder, *words],
            stdin="".join(f"{name}\n{text.strip()}\n\n" for name, text in files.items()),
            timeout_s=timeout_s,
        )

    @cached_property
    def _pod(self) -> Mapping[str, Any]:
        on_it = _pods(self._cluster, self._region, fields=f"spec.nodeName={self._machine.host.name}")
        for pod in on_it:
            return pod
        raise DatabaseBusy("no pod of the database stands on it.", where=self._machine.host.name)


def _stateful_set(cluster: Kubernetes, region: RegionPlan) -> dict[str, Any] | None:
    return cluster.read(STATEFUL_SET, names.STATEFUL_SET, names.namespace(region.name))


def _pods(cluster: Kubernetes, region: RegionPlan, fields: str = "") -> list[dict[str, Any]]:
    labels = ",".join(f"{key}={value}" for key, value in render.LABELS.items())
    return cluster.list("v1/Pod", names.namespace(region.name), labels=labels, fields=fields)


def _refuse_fewer(region: RegionPlan, existing: Mapping[str, Any]) -> None:
    """Stop before Kubernetes takes away pods: the last ones, wherever they stand, and their data."""
    standing, planned = existing["spec"]["replicas"], len(region.nodes)
    if planned < standing:
        raise InvalidTopology(
            f"{standing} pods of the database stand, and the topology has {planned} nodes: "
            "Roachmesh takes none away.",
            where=region.name,
            advice=f"Write `nodes: {standing}`.",
        )


def _objects(
    deployment: Deployment, region: RegionPlan, cluster: Kubernetes, existing: Mapping[str, Any] | None
) -> list[render.Object]:
    return render.objects(
        deployment.plan,
        region,
        _certificates(deployment, region, cluster),
        disruption_budget_version=cluster.newest("PodDisruptionBudget", render.DISRUPTION_BUDGET_VERSIONS),
        volume_claims=existing["spec"]["volumeClaimTemplates"] if existing else (),
    )


def _certificates(deployment: Deployment, region: RegionPlan, cluster: Kubernetes) -> dict[str, str]:
    """Give what the region's Secret has, and what it lacks issued anew."""
    block = deployment.certificates()
    found = cluster.read_secret(names.NODE_SECRET, names.namespace(region.name))
    return {**block.trusted, **certificates.in_secret(found, block, purposes_of(region), where=region.name)}


def purposes_of(region: RegionPlan) -> dict[str, Purpose]:
    """Say what the certificates of a region's pods are for, by their names in the Secret without `.crt`."""
    return {"node": purposes.pods_purpose(region.name), "client.node": purposes.client_purpose("node")}


def _wait_until_running(cluster: Kubernetes, region: RegionPlan) -> None:
    wait_until(
        lambda: _require(cluster, region, pods.is_running),
        what=f"{len(region.nodes)} pods running in {region.name}",
        timeout_s=RUNNING_TIMEOUT_S,
        every_s=2.0,
        advice=_advice(region),
    )


def _wait_until_rolled_out(cluster: Kubernetes, region: RegionPlan, timeout_s: float) -> None:
    def rolled_out() -> bool:
        stateful_set = _stateful_set(cluster, region)
        if stateful_set and pods.is_rolled_out(stateful_set):
            return True
        _require(cluster, region, pods.is_ready)
        return False

    wait_until(
        rolled_out,
        what=f"{len(region.nodes)} pods ready in {region.name}",
        timeout_s=timeout_s,
        every_s=2.0,
        advice=_advice(region),
    )


def _require(cluster: Kubernetes, region: RegionPlan, is_well: Callable[[Mapping[str, Any]], bool]) -> bool:
    """Look at every pod that there should be.

    Raises:
        DatabaseBusy: naming those that are not well, and why.
    """
    found = {pods.name(pod): pod for pod in _pods(cluster, region)}
    planned = [names.pod(number) for number in range(len(region.nodes))]
    unwell = [name for name in planned if name not in found or not is_well(found[name])]
    if unwell:
        events = cluster.list("v1/Event", names.namespace(region.name))
        reasons = defaultdict(list)
        for name in unwell:
            reasons[_why(cluster, region, name, found.get(name), events)].append(name)
        raise DatabaseBusy("; ".join(f"{', '.join(these)}: {reason}" for reason, these in reasons.items()))
    return True


def _why(
    cluster: Kubernetes,
    region: RegionPlan,
    name: str,
    pod: Mapping[str, Any] | None,
    events: Sequence[Mapping[str, Any]],
) -> str:
    if pod is None:
        return f"there is no such pod. {pods.last_warning(events, names.STATEFUL_SET)}".strip()
    said = [pods.hindrance(pod)]
    warning = pods.last_warning(events, name)
    if warning.partition(": ")[2] not in said[0]:
        said.append(warning)
    if pods.has_ended(pod):
        lines = cluster.logs(names.namespace(region.name), name).splitlines()
        said.append(f"it logged last: {' | '.join(lines[-LINES_QUOTED:])}")
    return ". ".join(said)


def _advice(region: RegionPlan) -> str:
    return f"See `kubectl -n {names.namespace(region.name)} describe pods`, by way of `roachmesh kubeconfig`."
