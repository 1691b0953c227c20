"""A person's approval, asked for on the run's page before anything is touched."""

from hashlib import sha256
from typing import Literal
from uuid import UUID

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment as prefect_deployment
from prefect.runtime import flow_run
from pydantic import Field

from blocks.logger import logger
from roachmesh.errors import NotApproved
from roachmesh.render import markdown
from tasks.belongings import show_belongings
from tasks.deployment import Deployment
from tasks.drift import show_foreseen
from tasks.preflight import judge_fixed_fields, read_operators
from tasks.report import show_plan
from tasks.resource_group import read_resource_group

TIMEOUT_S = 7 * 24 * 3600
RESUMED = "Resuming"  # Prefect's name of the state that an answer puts a run into
ONLY_THIS = "The answer holds for exactly this: if Azure changes before the run goes on, it asks again."


class Approval(RunInput):
    """What is asked. A field with a default would let an empty answer through: only the reason has one."""

    decision: Literal["approve", "reject"] = Field(
        title="Decision", description="Approve to go on; reject to end the run, with nothing touched."
    )
    name: str = Field(
        title="Your name", description="Stays on the run's page.", min_length=1, max_length=100, pattern=r"\S"
    )
    reason: str = Field("", title="Reason", description="Stays on the run's page too.", max_length=1000)


def approve_deployment(deployment: Deployment) -> None:
    """Show the plan and what it would change, and wait for somebody's approval.

    Raises:
        InvalidTopology: what stands cannot become what the topology says.
        NotApproved: it was rejected, or nobody can be asked.
    """
    existing = read_resource_group(deployment)
    judge_fixed_fields(deployment, existing)
    deployment = deployment.operated_from(read_operators(deployment, existing))
    show_plan(deployment)
    findings = show_foreseen(deployment)
    question = (
        f"**Deploy {deployment.plan.topology}?**\n\n{markdown.foreseen(findings)}\n\n"
        "In full: *plan* and *what-would-change* under Artifacts. What is on the machines, CockroachDB's "
        f"version and certificates among it, is brought to the plan too. {ONLY_THIS}"
    )
    _ask(deployment, question, about=f"{deployment.model_dump_json()}{markdown.comparison(findings)}")


def approve_destruction(deployment: Deployment) -> None:
    """Show what will go, and wait for somebody's approval.

    Raises:
        NotApproved: it was rejected, or nobody can be asked.
    """
    lines = "\n".join(show_belongings(deployment))
    question = (
        f"**Destroy {deployment.plan.topology}?** This will go, and nothing brings it back:\n\n"
        f"```\n{lines}\n```\n\n{ONLY_THIS}"
    )
    _ask(deployment, question, about=question)


def _ask(deployment: Deployment, question: str, *, about: str) -> None:
    """Suspend the run until somebody answers; it then begins anew, in another process, and finds the answer.

    So it holds neither a process nor the topology's lock meanwhile, and outlives its worker and server.
    The answer is found by what was asked about, and by the attempt: a run that is retried asks again.
    """
    where = deployment.plan.topology
    if prefect_deployment.id is None:
        raise NotApproved(
            "nobody can be asked here: only a run of a worker can wait for an answer.",
            where=where,
            advice="Leave `approval` at `none`, or start it in Prefect's UI.",
        )
    key = f"{sha256(about.encode()).hexdigest()[:16]}-{flow_run.run_count}"
    asked = Approval.with_initial_data(description=question)
    answer: Approval = suspend_flow_run(wait_for_input=asked, timeout=TIMEOUT_S, key=key)
    _record(answer)
    if answer.decision == "reject":
        reason = f": {answer.reason.strip()}" if answer.reason.strip() else ""
        raise NotApproved(
            f"{answer.name.strip()} rejected it{reason}.", where=where, advice="Nothing was touched."
        )


def _record(answer: Approval) -> None:
    """Keep on the run's page who decided what, and when."""
    with get_client(sync_client=True) as client:
        states = client.read_flow_run_states(UUID(flow_run.id))
    answered = max(state.timestamp for state in states if state.name == RESUMED)
    when = f"{answered:%Y-%m-%d %H:%M:%S} UTC"
    row = [" ".join(text.split()) for text in (answer.decision, answer.name, when, answer.reason)]
    logger().info("approval: %s", ", ".join(filter(None, row)))
    create_markdown_artifact(
        markdown.table(("decision", "by", "at", "reason"), [row]), key="approval", description="Who decided"
    )
