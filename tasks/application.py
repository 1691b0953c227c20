"""The application of each region, wherever it runs; where the topology has none any more, it goes."""

from blocks.logger import logger
from roachmesh import names
from roachmesh.outcome import Outcome
from roachmesh.plan import RegionPlan
from roachmesh.render import application as render
from roachmesh.render import systemd
from tasks.deployment import Deployment
from tasks.engine import once
from tasks.hosts import session
from tasks.kubernetes import kubernetes
from tasks.machines import Machine
from tasks.rollouts import DEPLOYMENT, wait_until_rolled_out
from tasks.sessions import File

UNIT = f"{systemd.UNIT_DIR}/{render.SERVICE}"
ROLLED_OUT_TIMEOUT_S = 600.0
OBJECTS = (DEPLOYMENT, "v1/Service", "v1/Secret")


@once("application {machine.host.name}")
def ensure_application_service(deployment: Deployment, machine: Machine) -> Outcome:
    """Have MovR run on a machine if the topology says so, by way of the machine's own pooler.

    Raises:
        HostFailed: it does not start, and what it logged last.
    """
    host, what = session(deployment, machine.host), "application"
    if deployment.plan.application.kind != "movr":
        request = {
            "unit": render.SERVICE,
            "mark": UNIT,
            "files": [render.SCRIPT, render.ENVIRONMENT_FILE, render.CA],
        }
        removed = host.program("remove_service", request)["changed"]
        return host.outcome(f"no {what}", new=False, changed=removed)
    password = deployment.password_of(deployment.plan.database.application_user)
    files: list[File] = [
        (UNIT, render.service(), "0644", "root"),
        (render.SCRIPT, render.script(deployment.plan), "0755", "root"),
        (render.CA, deployment.certificates().ca_certificate, "0644", "root"),
        (render.ENVIRONMENT_FILE, render.environment(password), "0600", "root"),
    ]
    placed = host.place_files(files, [(render.DIRECTORY, "0755", "root")])
    if placed:
        logger().info("placed %s", ", ".join(placed))
    did = host.ensure_service(render.SERVICE, files=[*(path for path, *_ in files), systemd.BINARY])
    return host.outcome(what, new=UNIT in placed, changed=did["change"] != "unchanged")


@once("application in pods {region.name}")
def ensure_application_in_pods(deployment: Deployment, region: RegionPlan) -> Outcome:
    """Have the application run in a region on k3s, if the topology has one.

    Raises:
        NotReadyYet: not all of its pods are ready after 600 s, and why.
    """
    cluster, namespace = kubernetes(deployment, region), names.namespace(region.name)
    plan, what = deployment.plan, f"application in pods of {region.name}"
    existing = {kind for kind in OBJECTS if cluster.read(kind, names.APPLICATION, namespace)}
    if plan.application.kind == "none":
        for kind in existing:
            cluster.delete(kind, names.APPLICATION, namespace)
        return Outcome(what=f"no {what}", change="updated" if existing else "unchanged")
    password = deployment.password_of(plan.database.application_user)
    objects = render.objects(plan, region, password, deployment.certificates().ca_certificate)
    changed = cluster.apply(objects)
    for kind in existing - {f"{one['apiVersion']}/{one['kind']}" for one in objects}:
        cluster.delete(kind, names.APPLICATION, namespace)
        changed.append(f"{kind} {names.APPLICATION}, deleted")
    if changed:
        logger().info("changed %s", ", ".join(changed))
    wait_until_rolled_out(cluster, names.APPLICATION, namespace, ROLLED_OUT_TIMEOUT_S)
    return Outcome.of(what, new=not existing, changed=bool(changed))
