"""What a run shows of itself on its page: the plan before the first change, what came of it at the end."""

from collections.abc import Sequence

from prefect.artifacts import create_markdown_artifact

from roachmesh import cost, prices
from roachmesh.outcome import Outcome
from roachmesh.render import markdown, plan
from tasks.deployment import Deployment
from tasks.engine import judging
from tasks.machines import Machine


@judging("plan")
def show_plan(deployment: Deployment) -> None:
    """Show everything that will exist, and what it costs."""
    estimate = cost.estimate(deployment.plan, prices.shipped())
    create_markdown_artifact(
        plan.markdown(deployment.inventory, estimate),
        key="plan",
        description=f"What will exist, its price: {deployment.plan.topology}",
    )


@judging("connection card")
def show_card(deployment: Deployment, machines: Sequence[Machine], outcomes: Sequence[Outcome]) -> None:
    """Show how to reach what was deployed, and what it took."""
    addresses = {machine.host.name: machine.host.address for machine in machines}
    create_markdown_artifact(
        f"{markdown.card(deployment.plan, addresses)}\n\n## Changes\n\n{markdown.changes(outcomes)}",
        key="connection-card",
        description=f"How to reach {deployment.plan.topology}",
    )
