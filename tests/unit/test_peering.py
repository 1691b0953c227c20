"""In what order regions are peered."""

import pytest

from flows.peering import rounds
from roachmesh import topology
from roachmesh.plan import make_plan

LOCATIONS = ["eastus", "eastus2", "northeurope", "westeurope", "uksouth", "westus"]


@pytest.mark.parametrize("count", range(1, 7))
def test_every_two_regions_meet_once_and_in_a_round_nobody_twice(count: int) -> None:
    regions = [{"platform": "vm", "name": name, "nodes": 1} for name in LOCATIONS[:count]]
    plan = make_plan(topology.parse({"name": "mesh", "regions": regions}))

    pairs = list(rounds(plan.regions))

    assert sorted((left.name, right.name) for left, right in pairs) == sorted(
        (left.name, right.name) for left, right in plan.peerings
    )
    at_once = max(count // 2, 1)
    for first in range(0, len(pairs), at_once):
        names = [region.name for pair in pairs[first : first + at_once] for region in pair]
        assert len(set(names)) == len(names)
