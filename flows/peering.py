"""The mesh of virtual networks."""

from collections.abc import Iterator, Sequence
from typing import Any

from prefect.futures import PrefectFuture

from flows.parallel import Parallel
from roachmesh.outcome import Outcome
from roachmesh.plan import RegionPlan
from tasks.deployment import Deployment
from tasks.peering import ensure_peering


def peer_regions(deployment: Deployment) -> list[Outcome]:
    """Peer every two regions, in both directions.

    Azure refuses two writes to one virtual network at a time, and a peering writes to both of its own: each
    waits for the last one of either, and as in a tournament no network stands idle while others are peered.
    """
    work = Parallel()
    last: dict[str, PrefectFuture[Any]] = {}
    for left, right in rounds(deployment.plan.regions):
        before = [last[region.name] for region in (left, right) if region.name in last]
        last[left.name] = last[right.name] = work.start(ensure_peering, deployment, left, right, after=before)
    return [half for halves in work.join() for half in halves]


def rounds(regions: Sequence[RegionPlan]) -> Iterator[tuple[RegionPlan, RegionPlan]]:
    """Give every pair once, round by round, in each of which nobody is in two pairs.

    Of a pair the region that is planned first comes first. Source: the circle method of round-robin
    tournaments: one place stays, the others go round; with an odd number one place is empty.
    """
    places = list(range(len(regions) + len(regions) % 2))
    for _ in places[1:]:
        for one, other in zip(places, reversed(places), strict=True):
            if one < other < len(regions):
                yield regions[one], regions[other]
        places = [places[0], places[-1], *places[1:-1]]
