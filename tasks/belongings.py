"""Everything that destroying a topology takes away."""

from prefect.artifacts import create_markdown_artifact

from blocks.logger import logger
from tasks.deployment import Deployment, has_block
from tasks.engine import always
from tasks.keys import SECRETS
from tasks.removal import describe
from tasks.report import show_once
from tasks.resource_group import read_resource_group


@always("what will go")
def show_belongings(deployment: Deployment) -> list[str]:
    """Show on the run's page what destroying the topology takes away.

    Raises:
        NotOurs: a resource group of that name exists and was not made by this topology.
    """
    lines = list_belongings(deployment)
    text = "\n".join(lines) or "Nothing is left."
    topology = deployment.plan.topology
    show_once(f"```\n{text}\n```", key="what-will-go", description=f"What destroying {topology} takes away")
    return lines


def list_belongings(deployment: Deployment) -> list[str]:
    """Say what there is, a line each: the resource group, what is in it by type, the secrets.

    Raises:
        NotOurs: a resource group of that name exists and was not made by this topology.
    """
    topology = deployment.plan.topology
    exists = read_resource_group.fn(deployment) is not None
    lines = describe(deployment, topology, deployment.resource_group) if exists else []
    blocks = [kind.get_block_type_slug() for kind in SECRETS if has_block(kind, topology)]
    return lines + [f"block {slug}/{topology}" for slug in blocks]


def show_what_exists(deployment: Deployment) -> None:
    """Show on the page of a run that was ended before its time what there is now."""
    lines = list_belongings(deployment) or ["Nothing of it exists."]
    text = "\n".join(lines)
    logger().warning("This run was ended. What exists now:\n%s", text)
    create_markdown_artifact(
        f"```\n{text}\n```", key="what-exists", description=f"What exists of {deployment.plan.topology}"
    )
