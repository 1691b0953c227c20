"""The mesh of virtual networks."""

from collections.abc import Sequence
from itertools import combinations

from flows.parallel import Parallel
from flows.region import DeployedRegion
from tasks.deployment import Deployment
from tasks.peering import ensure_peering


def peer_regions(deployment: Deployment, regions: Sequence[DeployedRegion]) -> None:
    """Peer every two regions, in both directions."""
    work = Parallel()
    for left, right in combinations(regions, 2):
        work.start(ensure_peering, deployment, left.plan, right.plan, left.network.id, right.network.id)
    work.join()
