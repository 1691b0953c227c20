"""The application in every region: its tables first."""

from collections.abc import Sequence

from flows.parallel import Parallel
from roachmesh.outcome import Outcome
from tasks.application import ensure_application_in_pods, ensure_application_service
from tasks.deployment import Deployment
from tasks.machines import Machine
from tasks.movr import ensure_movr


def deploy_application(deployment: Deployment, machines: Sequence[Machine]) -> list[Outcome]:
    """Have MovR's tables if that is the application, then the application in all regions at once.

    Of a region's plain machines the first carries it.
    """
    plan = deployment.plan
    tables = [ensure_movr(deployment, machines[0])] if plan.application.kind == "movr" else []
    work = Parallel()
    for region in plan.clusters:
        work.start(ensure_application_in_pods, deployment, region)
    for machine in machines:
        if machine.node.role == "vm" and machine.node.number == 1:
            work.start(ensure_application_service, deployment, machine)
    return [*tables, *work.join()]
