"""What a topology may say, and people regret: shown before anything is created, refused by nobody."""

from collections.abc import Iterator

from roachmesh import sizes
from roachmesh.plan import Plan
from roachmesh.topology import Image

REPLICAS = 3  # CockroachDB's default; a range lives while most of its replicas do
COMFORTABLE_VCPUS = 4
WIDE_PREFIX = 24


def find(plan: Plan) -> Iterator[str]:
    """Give a sentence for each."""
    nodes, regions = len(plan.nodes), len(plan.regions)
    if nodes < REPLICAS:
        yield (
            f"{nodes} node{'s' * (nodes > 1)} cannot hold {REPLICAS} replicas: "
            "when one is lost, the database stands still or is lost with it."
        )
    elif regions < REPLICAS:
        lost = "the database" if regions == 1 else "one of two regions, and the database with it"
        yield f"No region's loss is survived: an outage takes {lost}; write {REPLICAS} regions or more."
    for region in plan.regions:
        if not region.zones and len(region.nodes) > 1:
            yield f"{region.name}: without availability zones its machines may share one building."
        elif len(region.nodes) > 1 and len({node.zone for node in region.nodes}) == 1:
            yield f"{region.name}: all its nodes stand in zone {region.zones[0]}."
        vcpus = sizes.read(region.size).vcpus
        if vcpus < COMFORTABLE_VCPUS:
            yield f"{region.name}: {region.size} has {vcpus} vCPUs; CockroachDB wants {COMFORTABLE_VCPUS}."
    opened = [("SSH is", network) for network in plan.access.operator_cidrs]
    opened += [("Poolers and application are", network) for network in plan.access.nodeport_cidrs]
    for what, network in opened:
        if network.prefixlen < WIDE_PREFIX:
            yield f"{what} open to {network}, {network.num_addresses:,} addresses."
    if plan.image != Image():
        yield f"The image {plan.image.publisher}:{plan.image.offer} is not what Roachmesh is tested with."
