"""The poolers of all regions."""

from collections.abc import Sequence

from flows.parallel import Parallel
from roachmesh.outcome import Outcome
from tasks.deployment import Deployment
from tasks.machines import Machine
from tasks.pooler_pods import ensure_pooler_in_pods
from tasks.poolers import ensure_pooler


def deploy_poolers(deployment: Deployment, machines: Sequence[Machine]) -> list[Outcome]:
    """Have poolers in all regions at once: on each plain machine, in pods of each cluster."""
    work = Parallel()
    for region in deployment.plan.regions:
        here = [machine for machine in machines if machine.node.region == region.name]
        if region.cluster:
            work.start(ensure_pooler_in_pods, deployment, region, here)
            continue
        for machine in here:
            work.start(ensure_pooler, deployment, machine, here)
    return work.join()
