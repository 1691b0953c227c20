"""What a run shows of itself on its page: the plan before the first change, the card at the end."""

from collections.abc import Sequence

from prefect.artifacts import create_markdown_artifact

from roachmesh.render import markdown
from tasks.deployment import Deployment
from tasks.engine import judging
from tasks.machines import Machine


@judging("plan")
def show_plan(deployment: Deployment) -> None:
    """Show everything that will exist."""
    plan = deployment.plan
    create_markdown_artifact(markdown.plan(plan), key="plan", description=f"Plan of {plan.topology}")


@judging("connection card")
def show_card(deployment: Deployment, machines: Sequence[Machine]) -> None:
    """Show how to reach what was deployed."""
    addresses = {machine.host.name: machine.host.address for machine in machines}
    create_markdown_artifact(
        markdown.card(deployment.plan, addresses),
        key="connection-card",
        description=f"How to reach {deployment.plan.topology}",
    )
