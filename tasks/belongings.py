"""Everything that destroying a topology takes away."""

from collections import Counter

from prefect.blocks.core import Block

from blocks import Certificates, SshKey
from roachmesh.errors import BlockMissing
from roachmesh.plan import Plan
from tasks.deployment import Deployment, load_block
from tasks.resource_group import list_resources, read_resource_group


def list_belongings(plan: Plan, credentials: str) -> list[str]:
    """Say what there is, a line each: the resource group, what is in it by type, the secrets.

    Raises:
        NotOurs: a resource group of that name exists and was not made by this topology.
    """
    deployment = Deployment(key="terminal", plan=plan, credentials=credentials)
    lines = []
    if read_resource_group.fn(deployment) is not None:
        counts = Counter(resource["type"].rpartition("/")[2] for resource in list_resources(deployment))
        lines = [f"resource group {deployment.resource_group}"]
        lines += [f"  {count:4} {kind}" for kind, count in sorted(counts.items())]
    name = plan.topology
    lines += [
        f"block {kind.get_block_type_slug()}/{name}" for kind in (SshKey, Certificates) if _exists(kind, name)
    ]
    return lines


def _exists(kind: type[Block], name: str) -> bool:
    try:
        load_block(kind, name)
    except BlockMissing:
        return False
    return True
