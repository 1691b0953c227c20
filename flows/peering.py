"""The mesh of virtual networks."""

from flows.parallel import Parallel
from roachmesh.outcome import Outcome
from tasks.deployment import Deployment
from tasks.peering import ensure_peering


def peer_regions(deployment: Deployment) -> list[Outcome]:
    """Peer every two regions, in both directions."""
    work = Parallel()
    for left, right in deployment.plan.peerings:
        work.start(ensure_peering, deployment, left, right)
    return [half for halves in work.join() for half in halves]
