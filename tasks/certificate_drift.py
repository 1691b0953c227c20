"""Certificates of nodes compared with the plan, and what ends soon made known.

Besides what the log and the comparison say, Prefect gets an event for each certificate that ends soon, on
which an automation can act: see docs/operations.md.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

from prefect.events import emit_event

from blocks.logger import logger
from roachmesh import names
from roachmesh.certificates import RENEW_BEFORE, SUCCEED_BEFORE, ends_soon
from roachmesh.drift import Finding
from roachmesh.plan import Node, RegionPlan
from tasks import cockroachdb, cockroachdb_pods
from tasks.certificates import halves_in_secret, read_halves, reasons_against
from tasks.deployment import Deployment
from tasks.hosts import session
from tasks.kubernetes import kubernetes
from tasks.looks import Look, compared, look_at_all
from tasks.machines import read_machine

EXPIRING = "roachmesh.certificate.expiring"


def survey_certificates(deployment: Deployment) -> list[Finding]:
    """Compare every node's certificates with what a deployment would leave alone; changes nothing."""
    plan = deployment.plan
    _warn_of_authorities(deployment)
    looks: list[tuple[str, Look]] = [
        (f"certificates of {region.name}", partial(_look_in_cluster, deployment, region))
        for region in plan.clusters
    ]
    looks += [
        (f"certificates on {node.name}", partial(_look_on_machine, deployment, node))
        for node in plan.nodes
        if node.role == "vm"
    ]
    return look_at_all(looks)


def announce_end(
    deployment: Deployment,
    certificate: str | None,
    what: str,
    place: Node | RegionPlan | None = None,
    before: timedelta = RENEW_BEFORE,
) -> datetime | None:
    """Let Prefect know when a certificate ends, if that is soon.

    Args:
        deployment: Whose certificate it is.
        certificate: PEM, if there is one.
        what: What people call it; names it among those of the topology.
        place: Where it is, if it is in one place.
        before: How long before its end that is worth an event.
    """
    end = ends_soon(certificate or "", datetime.now(UTC), before)
    if end:
        topology = deployment.plan.topology
        resource = {
            "prefect.resource.id": f"roachmesh.certificate.{topology}.{what.replace(' ', '-')}",
            "prefect.resource.name": what,
            "roachmesh.topology": topology,
            **_labels(place),
            "roachmesh.ends": f"{end:%Y-%m-%d}",
        }
        emit_event(EXPIRING, resource=resource)
    return end


def _labels(place: Node | RegionPlan | None) -> dict[str, str]:
    if isinstance(place, Node):
        return {"roachmesh.region": place.region, "roachmesh.node": f"{place.region}/{place.number}"}
    return {"roachmesh.region": place.name} if place else {}


def _warn_of_authorities(deployment: Deployment) -> None:
    """Warn of authorities that end soon: no deployment renews them, so that they are no drift."""
    authorities = dict(deployment.certificates().trusted)
    if deployment.plan.clusters:
        authorities["Cilium's authority"] = deployment.kubernetes_secrets().cilium_ca_certificate
    for what, certificate in authorities.items():
        end = announce_end(deployment, certificate, what, before=SUCCEED_BEFORE)
        if end:
            logger().warning(
                "%s ends on %s, and with it all that it signed: back up the data, destroy and deploy anew",
                what,
                f"{end:%Y-%m-%d}",
            )


def _look_on_machine(deployment: Deployment, node: Node) -> Iterator[Finding]:
    host = session(deployment, read_machine(deployment, node).host)
    wanted = cockroachdb.purposes_of(node)
    block = deployment.certificates()
    for (path, purpose), halves in zip(wanted.items(), read_halves(host, wanted), strict=True):
        what = f"{path.rpartition('/')[2]}.crt on {node.name}"
        announce_end(deployment, halves[0], what, node)
        yield compared(f"certificate {what}", "certificate", reasons_against(block, purpose, halves))


def _look_in_cluster(deployment: Deployment, region: RegionPlan) -> Iterator[Finding]:
    """Look at the pair that all pods of a region share."""
    found = kubernetes(deployment, region).read_secret(names.NODE_SECRET, names.namespace(region.name))
    block = deployment.certificates()
    for name, purpose in cockroachdb_pods.purposes_of(region).items():
        what = f"{name}.crt of {region.name}"
        halves = halves_in_secret(found, name)
        announce_end(deployment, halves[0], what, region)
        yield compared(f"certificate {what}", "certificate", reasons_against(block, purpose, halves))
