"""A night: build everything from nothing, prove it, take it down, and say how that went."""

import time
from datetime import UTC, datetime, timedelta

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from blocks.azure_credentials import CredentialsName
from flows.deploy import deploy
from flows.destroy import destroy
from flows.region import FanOut
from flows.verify import verify
from roachmesh import cost, prices
from roachmesh.errors import InvalidTopology
from roachmesh.plan import make_plan
from roachmesh.render import nightly as render
from roachmesh.render.nightly import Night, Stage
from roachmesh.topology import DEFAULT, Topology
from tasks.deployment import Deployment
from tasks.lifeline import Lifeline
from tasks.nights import read_earlier, read_page
from tasks.overlap import topology_lock
from tasks.preflight import refuse_what_is_no_nights
from tasks.resource_group import ensure_nights_group

SUFFIX = "-nightly"
LONGEST_NAME = 24 - len(SUFFIX)
KEPT = timedelta(days=3)
# What is run in each stage.
VERBS = {"clear away": "destroy", "deploy": "deploy", "verify": "verify", "destroy": "destroy"}


@flow(name="nightly", flow_run_name="nightly {topology.name}-nightly", persist_result=False)
def nightly(
    topology: Topology = DEFAULT,
    credentials: CredentialsName = "default",
    keep_on_failure: bool = False,
    fan_out: FanOut = "threads",
) -> None:
    """Build a topology from nothing under a name of its own, verify it, take it down, and report.

    What is deployed under the topology's own name is never touched: a night's is NAME-nightly.

    Args:
        topology: The regions and what is in them; `expires` is set to three days from now.
        credentials: Name of the block Azure Credentials to use; see Blocks.
        keep_on_failure: Leave what a failed night made, for inspection, until the next night or its expiry.
        fan_out: Where regions are made, as in `deploy`.
    """
    tonight = _of_tonight(topology)
    deployment = Deployment(key=str(flow_run.id), plan=make_plan(tonight), credentials=credentials)
    with (
        Lifeline(deployment, last_words=lambda: None),
        topology_lock(credentials, f"{tonight.name}_night"),
    ):
        _Night(tonight, deployment, fan_out).run(keep_on_failure=keep_on_failure)


class _Night:
    """The stages as they go."""

    def __init__(self, topology: Topology, deployment: Deployment, fan_out: FanOut) -> None:
        self._topology = topology
        self._deployment = deployment
        self._fan_out = fan_out
        self._stages: list[Stage] = []
        self._errors: list[Exception] = []

    def run(self, *, keep_on_failure: bool) -> None:
        """Do one stage after the other up to the first that fails, and take down what stands.

        Raises:
            Exception: what the first stage that failed did.
        """
        began = datetime.now(UTC)
        is_clear = self._succeeds("clear away")
        built = time.monotonic()
        works = is_clear and self._succeeds("deploy") and self._succeeds("verify")
        if is_clear and (works or not keep_on_failure):
            self._succeeds("destroy")
        stood_s = time.monotonic() - built
        try:
            self._report(Night(began, tuple(self._stages)), stood_s)
        finally:
            if self._errors:
                raise self._errors[0]

    def _succeeds(self, stage: str) -> bool:
        began = time.monotonic()
        why = ""
        try:
            run_stage(stage, self._deployment, self._topology, self._fan_out)
        except Exception as exc:  # noqa: BLE001 -- raised when the night is over
            self._errors.append(exc)
            why = f"{type(exc).__name__}: {exc}"
        took_s = time.monotonic() - began
        page = read_page(f"{VERBS[stage]} {self._topology.name}") if why else ""
        self._stages.append(Stage(stage, took_s, "failed" if why else "done", why, page))
        return not why

    def _report(self, tonight: Night, stood_s: float) -> None:
        plan = self._deployment.plan
        estimate = cost.estimate(plan, prices.shipped())
        earlier = read_earlier(plan.topology)
        create_markdown_artifact(
            render.markdown(plan, tonight, earlier, estimate, stood_s),
            key="nightly",
            description=f"{plan.topology}: {tonight.verdict}",
        )


@task(task_run_name="{stage}", cache_policy=NO_CACHE, persist_result=False)
def run_stage(stage: str, deployment: Deployment, topology: Topology, fan_out: FanOut) -> None:
    """Run a stage's flow in a task of its own, by whose name the next nights find what it took.

    Called directly, a subflow of a night that is retried would be matched with one of the night before the
    retry, by the order of calls. Source: measured, see docs/decisions.
    """
    credentials = deployment.credentials
    # A key for each stage: what was loaded of the last night's secrets is not this night's.
    deployment = deployment.keeping(f"{deployment.key} {stage}")
    if stage != "verify":
        refuse_what_is_no_nights(deployment)
    match VERBS[stage]:
        case "deploy":
            ensure_nights_group(deployment)
            deploy(topology, credentials, fan_out=fan_out)
        case "verify":
            verify(topology, credentials)
        case _:
            destroy(topology, confirm=topology.name, credentials=credentials)


def _of_tonight(topology: Topology) -> Topology:
    """Give a topology the name and the expiry of a night."""
    if len(topology.name) > LONGEST_NAME:
        raise InvalidTopology(
            f"name: {topology.name} is too long for a night, which adds {SUFFIX}.",
            advice=f"Write at most {LONGEST_NAME} characters.",
        )
    expires = datetime.now(UTC) + KEPT
    return topology.model_copy(
        update={"name": f"{topology.name}{SUFFIX}", "expires": f"{expires:%Y-%m-%dT%H:%M:%SZ}"}
    )
