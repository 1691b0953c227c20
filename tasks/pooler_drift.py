"""Poolers compared with the plan: are they there, what are they told, and whom do they say they are?"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

from roachmesh import certificates, names
from roachmesh.certificates import Purpose
from roachmesh.drift import Finding
from roachmesh.errors import HostBusy
from roachmesh.plan import Node, RegionPlan
from roachmesh.pooler import Pooler
from roachmesh.render import pooler_pods as render
from roachmesh.render import poolers
from roachmesh.render.kubernetes import DISRUPTION_BUDGET_VERSIONS
from roachmesh.security_rules import POOLER_PORT
from tasks.certificate_drift import announce_end
from tasks.deployment import Deployment
from tasks.hosts import session
from tasks.kubernetes import kubernetes
from tasks.looks import Look, at_file, at_object, at_service, compared, look_at_all
from tasks.machines import Machine, read_machine
from tasks.pooler_pods import BUDGET, read_pods
from tasks.rollouts import at_pods
from tasks.sessions import Session


def survey_poolers(deployment: Deployment) -> list[Finding]:
    """Compare the poolers of all regions, if there are to be any; changes nothing."""
    plan = deployment.plan
    wanted = poolers.POOLERS.get(plan.pooler)
    if wanted is None:
        return []
    looks: list[tuple[str, Look]] = []
    for region in plan.regions:
        machines = [read_machine(deployment, node) for node in region.nodes]
        purpose = poolers.purpose(plan, region, [machine.host.address for machine in machines])
        if region.cluster:
            look = partial(_look_in_cluster, deployment, wanted, region, machines[0], purpose)
            looks.append((f"{wanted.title} in {region.name}", look))
            continue
        for machine in machines:
            on_machine = partial(_look_on_machine, deployment, wanted, machine, purpose)
            looks.append((f"{wanted.title} on {machine.host.name}", on_machine))
    return look_at_all(looks)


def _look_on_machine(
    deployment: Deployment, pooler: Pooler, machine: Machine, purpose: Purpose
) -> Iterator[Finding]:
    host = session(deployment, machine.host)
    texts = pooler.files(poolers.on_machine(deployment.plan, machine.node, deployment.passwords()))
    for name in pooler.file_names:
        if name not in pooler.secrets:
            yield at_file(host, f"{pooler.directory}/{name}", texts[name])
    yield at_file(host, poolers.drop_in_path(pooler), pooler.drop_in)
    yield at_service(host, pooler.service)
    label = f"{pooler.title} on {machine.host.name}"
    yield _at_certificate(deployment, purpose, host, "127.0.0.1", label, machine.node)


def _look_in_cluster(
    deployment: Deployment, pooler: Pooler, region: RegionPlan, machine: Machine, purpose: Purpose
) -> Iterator[Finding]:
    cluster = kubernetes(deployment, region)
    version = cluster.newest(BUDGET, DISRUPTION_BUDGET_VERSIONS)
    _, *wanted = render.objects(region, pooler, {}, version)  # all but the Secret
    for one in wanted:
        yield at_object(cluster, one)
    yield at_pods(cluster, pooler.name, names.namespace(region.name))
    host = session(deployment, machine.host)
    for pod in read_pods(cluster, region, pooler):
        label = f"{pooler.title} in pod {pod['metadata']['name']}"
        address = pod["status"].get("podIP", "")
        yield _at_certificate(deployment, purpose, host, address, label, region)


def _at_certificate(
    deployment: Deployment,
    purpose: Purpose,
    host: Session,
    address: str,
    label: str,
    place: Node | RegionPlan,
) -> Finding:
    """Look at the certificate that clients are shown."""
    authority = deployment.certificates().ca_certificate
    try:
        where = {"address": address, "port": POOLER_PORT}
        shown = host.program("read_served_certificate", where)["certificate"]
    except HostBusy as exc:
        return Finding(label=label, type="pooler", state="not running", differences=(exc.message,))
    announce_end(deployment, shown, label, place)
    lines = certificates.faults(shown, authority, purpose, datetime.now(UTC))
    return compared(f"certificate of {label}", "certificate", lines)
