"""What clients use in every region: the pooler, and the application behind it."""

from collections.abc import Sequence

from flows.parallel import Parallel
from roachmesh.outcome import Outcome
from tasks.application import ensure_application_in_pods, ensure_application_service
from tasks.deployment import Deployment
from tasks.machines import Machine, in_region
from tasks.movr import ensure_movr
from tasks.pooler_pods import ensure_pooler_in_pods
from tasks.pooler_test import ensure_sql_client
from tasks.poolers import ensure_pooler


def deploy_services(deployment: Deployment, machines: Sequence[Machine]) -> list[Outcome]:
    """Have poolers, then the application; poolers that are to go go last, when nobody needs them any more."""
    if deployment.plan.pooler == "none":
        return [*deploy_application(deployment, machines), *deploy_poolers(deployment, machines)]
    return [*deploy_poolers(deployment, machines), *deploy_application(deployment, machines)]


def deploy_poolers(deployment: Deployment, machines: Sequence[Machine]) -> list[Outcome]:
    """Have poolers in all regions at once, on each plain machine and in pods, and what their test needs."""
    work = Parallel()
    for region in deployment.plan.regions:
        here = in_region(machines, region.name)
        if deployment.plan.pooler != "none":
            work.start(ensure_sql_client, deployment, here[0])
        if region.cluster:
            work.start(ensure_pooler_in_pods, deployment, region, here)
            continue
        for machine in here:
            work.start(ensure_pooler, deployment, machine, here)
    return work.join()


def deploy_application(deployment: Deployment, machines: Sequence[Machine]) -> list[Outcome]:
    """Have MovR's tables if that is the application, then the application in all regions at once."""
    plan = deployment.plan
    tables = [ensure_movr(deployment, machines[0])] if plan.application.kind == "movr" else []
    work = Parallel()
    for region in plan.clusters:
        work.start(ensure_application_in_pods, deployment, region)
    for machine in machines:
        if machine.node in plan.application_nodes:
            work.start(ensure_application_service, deployment, machine)
    return [*tables, *work.join()]
