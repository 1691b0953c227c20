"""What a run shows of itself on its page: the plan before the first change, what came of it at the end."""

from collections.abc import Sequence
from uuid import UUID

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey
from prefect.runtime import flow_run

from roachmesh import cost, prices
from roachmesh.outcome import Outcome
from roachmesh.render import markdown, plan
from tasks.deployment import Deployment
from tasks.engine import always
from tasks.machines import Machine


def show_once(text: str, *, key: str, description: str) -> None:
    """Show something on the run's page, unless an earlier attempt of the same run has shown the same."""
    shown = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(flow_run.id)]), key=ArtifactFilterKey(any_=[key])
    )
    with get_client(sync_client=True) as client:
        texts = [artifact.data for artifact in client.read_artifacts(artifact_filter=shown)]
    if text not in texts:
        create_markdown_artifact(text, key=key, description=description)


@always("plan")
def show_plan(deployment: Deployment) -> None:
    """Show everything that will exist, and what it costs."""
    estimate = cost.estimate(deployment.plan, prices.shipped())
    show_once(
        plan.markdown(deployment.inventory, estimate),
        key="plan",
        description=f"Plan and price of {deployment.plan.topology}",
    )


@always("connection card")
def show_card(deployment: Deployment, machines: Sequence[Machine], outcomes: Sequence[Outcome]) -> None:
    """Show how to reach what was deployed, and what it took."""
    addresses = {machine.host.name: machine.host.address for machine in machines}
    create_markdown_artifact(
        f"{markdown.card(deployment.plan, addresses)}\n\n## Changes\n\n{markdown.changes(outcomes)}",
        key="connection-card",
        description=f"How to reach {deployment.plan.topology}",
    )
