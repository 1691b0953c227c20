"""The application compared with the plan: is it there, what is it told, and does it run?"""

from collections.abc import Iterator
from functools import partial

from roachmesh import names
from roachmesh.drift import Finding
from roachmesh.plan import Node, RegionPlan
from roachmesh.render import application as render
from tasks.application import UNIT
from tasks.deployment import Deployment
from tasks.hosts import session
from tasks.kubernetes import kubernetes
from tasks.looks import Look, at_file, at_object, at_service, look_at_all
from tasks.machines import read_machine
from tasks.rollouts import at_pods


def survey_application(deployment: Deployment) -> list[Finding]:
    """Compare the application of all regions, if there is to be one; changes nothing."""
    plan = deployment.plan
    looks: list[tuple[str, Look]] = []
    if plan.application.kind != "none":
        looks += [
            (f"application in {region.name}", partial(_look_in_cluster, deployment, region))
            for region in plan.clusters
        ]
    if plan.application.kind == "movr":
        looks += [
            (f"application on {node.name}", partial(_look_on_machine, deployment, node))
            for node in plan.application_nodes
        ]
    return look_at_all(looks)


def _look_on_machine(deployment: Deployment, node: Node) -> Iterator[Finding]:
    host = session(deployment, read_machine(deployment, node).host)
    yield at_file(host, UNIT, render.service())
    yield at_file(host, render.SCRIPT, render.script(deployment.plan))
    yield at_service(host, render.SERVICE)


def _look_in_cluster(deployment: Deployment, region: RegionPlan) -> Iterator[Finding]:
    cluster = kubernetes(deployment, region)
    password = deployment.password_of(deployment.plan.database.application_user)
    authority = deployment.certificates().ca_certificate
    _, *wanted = render.objects(deployment.plan, region, password, authority)  # all but the Secret
    for one in wanted:
        yield at_object(cluster, one)
    yield at_pods(cluster, names.APPLICATION, names.namespace(region.name))
