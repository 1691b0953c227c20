"""Azure compared with the plan: what is missing, what differs, what is somebody else's."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from prefect.artifacts import create_markdown_artifact

from roachmesh.drift import differences
from roachmesh.errors import Drifted, NotDeployed, NotOurs
from roachmesh.inventory import VIRTUAL_MACHINE, Body, Resource
from roachmesh.render.markdown import table
from roachmesh.topology import Model
from tasks.azure_resource import compare, read, require_ours
from tasks.deployment import Deployment
from tasks.engine import judging
from tasks.machines import power_state

READERS = 16


class Finding(Model):
    """One resource of the plan, and how Azure's differs from it.

    Attributes:
        label: What people call it.
        type: Azure's name of its type.
        region: Where it stands.
        state: "foreign" carries no tag of ours.
        differences: The paths that differ; empty when nothing does.
    """

    label: str
    type: str
    region: str | None
    state: Literal["as planned", "missing", "different", "foreign"]
    differences: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.label} is {self.state}{': ' if self.differences else ''}{'; '.join(self.differences)}"


@judging("compare Azure with the plan")
def compare_with_plan(deployment: Deployment) -> list[Finding]:
    """Give everything that is not as planned.

    Raises:
        NotDeployed: there is nothing at all.
        Drifted: machines are missing or do not run, so that nothing could be tested from them.
    """
    findings = survey(deployment, deployment.inventory.everything())
    if all(finding.state == "missing" for finding in findings):
        raise NotDeployed("there is no such deployment.", where=deployment.plan.topology)
    amiss = [finding for finding in findings if finding.state != "as planned"]
    create_markdown_artifact(
        as_markdown(amiss, len(findings)), key="drift", description=f"Drift of {deployment.plan.topology}"
    )
    judge(deployment, [finding for finding in amiss if finding.type == VIRTUAL_MACHINE])
    return amiss


@judging("Azure is as planned")
def judge_drift(deployment: Deployment, amiss: Sequence[Finding]) -> None:
    """Let a deployment that works pass only if it also is what was planned.

    Raises:
        Drifted: naming what differs.
    """
    judge(deployment, amiss)


def judge(deployment: Deployment, amiss: Sequence[Finding]) -> None:
    """Raise `Drifted` with what is amiss, if anything is."""
    if amiss:
        raise Drifted(
            "Azure is not as planned:\n" + "\n".join(f"  {finding}" for finding in amiss),
            where=deployment.plan.topology,
            advice="Deploy the topology again: that mends it, or says why it cannot.",
        )


def as_markdown(amiss: Sequence[Finding], total: int) -> str:
    """Write what is not as planned as a table."""
    count = f"{total - len(amiss)} of {total} resources are as planned."
    rows = ((finding.label, finding.state, "; ".join(finding.differences)) for finding in amiss)
    return f"{count}\n\n{table(('what', 'state', 'differences'), rows)}" if amiss else count


def survey(deployment: Deployment, resources: Iterable[Resource]) -> list[Finding]:
    """Compare resources with what Azure has, without changing anything."""
    with ThreadPoolExecutor(READERS) as readers:
        return list(readers.map(lambda resource: _look(deployment, resource), resources))


def _look(deployment: Deployment, resource: Resource) -> Finding:
    found = read(deployment, resource)
    about = {"label": resource.label, "type": resource.type, "region": resource.region}
    if found is None:
        return Finding(state="missing", **about)
    try:
        require_ours(deployment, found, resource)
    except NotOurs as exc:
        return Finding(state="foreign", differences=(exc.message,), **about)
    lines = _differences(resource, found)
    return Finding(state="different" if lines else "as planned", differences=tuple(lines), **about)


def _differences(resource: Resource, found: Body) -> list[str]:
    lines = compare(resource, found) + differences(resource.when_well, found)
    if resource.type == VIRTUAL_MACHINE and power_state(found) != "running":
        lines.append(f"it is {power_state(found)}")
    return lines
