"""The poolers of all regions."""

from collections.abc import Sequence

from flows.parallel import Parallel
from roachmesh.outcome import Outcome
from tasks.deployment import Deployment
from tasks.machines import Machine
from tasks.poolers import ensure_pooler


def deploy_poolers(deployment: Deployment, machines: Sequence[Machine]) -> list[Outcome]:
    """Have poolers in all regions at once: on each plain machine, in pods of each cluster."""
    work = Parallel()
    for region in deployment.plan.regions:
        here = [machine for machine in machines if machine.node.region == region.name]
        for machine in here if region.cluster is None else ():
            work.start(ensure_pooler, deployment, machine, here)
    return work.join()
