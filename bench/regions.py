"""The topologies that are measured: regions of one plain machine each, in as many locations."""

from roachmesh import locations, topology
from roachmesh.plan import Plan, make_plan
from sandbox.arm.locations import REGIONS

# By the alphabet: the first three have some without zones among them.
LOCATIONS = sorted(set(locations.WITH_ZONES + locations.WITHOUT_ZONES).intersection(REGIONS))


def plan(count: int) -> Plan:
    """Plan so many regions of one node, at most as many as there are locations."""
    regions = [{"platform": "vm", "name": name, "nodes": 1} for name in LOCATIONS[:count]]
    return make_plan(topology.parse({"name": f"bench-{count}", "regions": regions}))
