"""Clusters and plain machines compared with the plan: what lets them find each other, outside of Azure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal

import yaml

from roachmesh.drift import Finding, differences
from roachmesh.errors import RoachmeshError
from roachmesh.plan import Node, RegionPlan
from roachmesh.render import cilium, dns
from tasks.cilium import lost
from tasks.deployment import Deployment
from tasks.hosts import session
from tasks.kubernetes import Body, Kubernetes, kubernetes
from tasks.machines import read_machine
from tasks.mesh import disconnected

READERS = 16
SERVICES = ("dnsmasq.service", "systemd-resolved.service")
Look = Callable[[], Iterable[Finding]]

HELM_CHART = "helm.cattle.io/v1/HelmChart"


def survey_clusters(deployment: Deployment) -> list[Finding]:
    """Compare all clusters, and what plain machines need to resolve their names; changes nothing."""
    plan = deployment.plan
    if not plan.clusters:
        return []
    regions, machines = plan.clusters, [node for node in plan.nodes if node.role == "vm"]
    looks: list[tuple[str, Look]] = [
        *((f"cluster {region.name}", partial(_look_at_objects, deployment, region)) for region in regions),
        *(
            (f"ClusterMesh of {region.name}", partial(_look_at_mesh, deployment, region))
            for region in regions
        ),
        *((f"machine {node.name}", partial(_look_at_names, deployment, node)) for node in machines),
    ]
    with ThreadPoolExecutor(READERS) as readers:
        return [finding for findings in readers.map(_look, looks) for finding in findings]


def _look(one: tuple[str, Look]) -> list[Finding]:
    """Look at one thing; that it cannot be looked at is a finding too."""
    label, look = one
    try:
        return list(look())
    except RoachmeshError as exc:
        return [Finding(label=label, type="", state="unreachable", differences=(str(exc),))]


def _look_at_objects(deployment: Deployment, region: RegionPlan) -> Iterator[Finding]:
    api = kubernetes(deployment, region)
    yield from _nodes(api, region)
    for wanted in dns.objects(deployment.plan, region):
        yield _object(api, wanted)
    yield _chart(api, deployment, region)
    gone = tuple(f"{one} is gone" for one in lost(api, deployment.plan, region))
    yield _compared(f"Cilium of {region.name}", "Cilium", gone)


def _nodes(api: Kubernetes, region: RegionPlan) -> Iterator[Finding]:
    found = {node["metadata"]["name"]: node for node in api.list("v1/Node")}
    for planned in region.nodes:
        about = {"label": f"Kubernetes node {planned.name}", "type": "Node"}
        if planned.name not in found:
            yield Finding(state="missing", **about)
            continue
        conditions = {one["type"]: one for one in found[planned.name]["status"]["conditions"]}
        ready = conditions.get("Ready", {})
        if ready.get("status") != "True":
            said = ready.get("message", "nothing is known of it")
            yield Finding(state="not running", differences=(f"it is not Ready: {said}",), **about)
        else:
            yield Finding(state="as planned", **about)


def _object(api: Kubernetes, wanted: Body) -> Finding:
    metadata = wanted["metadata"]
    kind = f"{wanted['apiVersion']}/{wanted['kind']}"
    found = api.read(kind, metadata["name"], metadata["namespace"])
    return _finding(api, wanted["kind"], metadata["name"], wanted, found)


def _chart(api: Kubernetes, deployment: Deployment, region: RegionPlan) -> Finding:
    """Compare the chart by what its values mean, not by how they are written."""
    values = cilium.values(deployment.plan, region).model_dump(mode="json", by_alias=True, exclude_none=True)
    wanted = {"spec": {"version": deployment.plan.cilium.version, "valuesContent": values}}
    found = api.read(HELM_CHART, cilium.CHART, cilium.NAMESPACE)
    if found:
        said = yaml.safe_load(found["spec"].get("valuesContent") or "{}")
        found = {**found, "spec": {**found["spec"], "valuesContent": said}}
    return _finding(api, "HelmChart", cilium.CHART, wanted, found)


def _finding(api: Kubernetes, kind: str, name: str, wanted: Any, found: Body | None) -> Finding:
    label = f"{kind} {name} of {api.region}"
    if found is None:
        return Finding(label=label, type=kind, state="missing")
    return _compared(label, kind, differences(wanted, found))


def _look_at_mesh(deployment: Deployment, region: RegionPlan) -> Iterator[Finding]:
    lines = tuple(disconnected(deployment, region))
    yield _compared(f"ClusterMesh of {region.name}", "ClusterMesh", lines)


def _look_at_names(deployment: Deployment, node: Node) -> Iterator[Finding]:
    host = session(deployment, read_machine(deployment, node).host)
    files = {dns.DNSMASQ: dns.dnsmasq(deployment.plan), dns.RESOLVED: dns.RESOLVED_DROP_IN}
    for path, wanted in files.items():
        label = f"file {path} on {node.name}"
        if host.exists(path):
            yield _compared(label, "file", differences({"text": wanted}, {"text": host.run(["cat", path])}))
        else:
            yield Finding(label=label, type="file", state="missing")
    for service in SERVICES:
        runs = host.succeeds(["systemctl", "is-active", "--quiet", service])
        yield Finding(
            label=f"{service} on {node.name}", type="service", state="as planned" if runs else "not running"
        )


def _compared(label: str, kind: str, lines: Sequence[str]) -> Finding:
    state: Literal["different", "as planned"] = "different" if lines else "as planned"
    return Finding(label=label, type=kind, state=state, differences=tuple(lines))
