"""Clusters and plain machines compared with the plan: what lets them find each other, outside of Azure."""

from collections.abc import Iterator
from functools import partial

import yaml

from roachmesh.drift import Finding
from roachmesh.plan import Node, RegionPlan
from roachmesh.render import cilium, dns
from tasks.cilium import CHART, lost
from tasks.deployment import Deployment
from tasks.hosts import session
from tasks.kubernetes import Kubernetes, kubernetes
from tasks.looks import Look, at_file, at_found, at_object, at_service, compared, look_at_all
from tasks.machines import read_machine
from tasks.mesh import disconnected

SERVICES = ("dnsmasq.service", "systemd-resolved.service")


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
    return look_at_all(looks)


def _look_at_objects(deployment: Deployment, region: RegionPlan) -> Iterator[Finding]:
    api = kubernetes(deployment, region)
    yield from _nodes(api, region)
    for wanted in dns.objects(deployment.plan, region):
        yield at_object(api, wanted)
    yield _chart(api, deployment, region)
    gone = tuple(f"{one} is gone" for one in lost(api, deployment.plan, region))
    yield compared(f"Cilium of {region.name}", "Cilium", gone)


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


def _chart(api: Kubernetes, deployment: Deployment, region: RegionPlan) -> Finding:
    """Compare the chart by what its values mean, not by how they are written."""
    values = cilium.values(deployment.plan, region).model_dump(mode="json", by_alias=True, exclude_none=True)
    wanted = {"spec": {"version": deployment.plan.cilium.version, "valuesContent": values}}
    found = api.read(CHART, cilium.CHART, cilium.NAMESPACE)
    if found:
        said = yaml.safe_load(found["spec"].get("valuesContent") or "{}")
        found = {**found, "spec": {**found["spec"], "valuesContent": said}}
    return at_found(api, "HelmChart", cilium.CHART, wanted, found)


def _look_at_mesh(deployment: Deployment, region: RegionPlan) -> Iterator[Finding]:
    lines = tuple(disconnected(deployment, region))
    yield compared(f"ClusterMesh of {region.name}", "ClusterMesh", lines)


def _look_at_names(deployment: Deployment, node: Node) -> Iterator[Finding]:
    host = session(deployment, read_machine(deployment, node).host)
    files = {dns.DNSMASQ: dns.dnsmasq(deployment.plan), dns.RESOLVED: dns.RESOLVED_DROP_IN}
    for path, wanted in files.items():
        yield at_file(host, path, wanted)
    for service in SERVICES:
        yield at_service(host, service)
