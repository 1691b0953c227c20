"""What there is compared with the plan: what is missing, what differs, what is somebody else's."""

from collections.abc import Iterable, Sequence

from prefect.artifacts import create_markdown_artifact

from roachmesh import names
from roachmesh.drift import Finding, differences
from roachmesh.errors import Drifted, NotDeployed, NotOurs, RoachmeshError
from roachmesh.inventory import LABELS, PUBLIC_ADDRESS, VIRTUAL_MACHINE, Resource
from roachmesh.plan import Plan
from roachmesh.render import markdown
from tasks.application_drift import survey_application
from tasks.azure_resource import carries_tag, compare, read, require_ours
from tasks.certificate_drift import survey_certificates
from tasks.cluster_drift import survey_clusters
from tasks.deployment import Deployment
from tasks.engine import always
from tasks.k3s import read_pod_routes
from tasks.machines import power_state
from tasks.pooler_drift import survey_poolers
from tasks.preflight import judge_fixed_fields, read_operators
from tasks.removal import list_resources
from tasks.report import show_once
from tasks.resource_group import read_resource_group
from tasks.threads import ask_all


@always("compare with the plan")
def compare_with_plan(deployment: Deployment) -> list[Finding]:
    """Give everything that is not as planned: in Azure, in clusters, on machines.

    Raises:
        NotDeployed: there is nothing at all.
        Drifted: machines or their addresses are missing, so that nothing could be tested from them.
    """
    findings = survey_all(deployment)
    if all(finding.state == "missing" for finding in findings):
        raise NotDeployed("there is no such deployment.", where=deployment.plan.topology)
    unusable = _amiss(one for one in findings if one.type in (VIRTUAL_MACHINE, PUBLIC_ADDRESS))
    if not unusable:
        findings = [*with_clusters(deployment, findings), *survey_poolers(deployment)]
        findings += survey_certificates(deployment)
        findings += survey_application(deployment)
    create_markdown_artifact(
        markdown.comparison(findings),
        key="drift",
        description=f"Drift of {deployment.plan.topology}",
    )
    judge(deployment, unusable)
    return _amiss(findings)


def _amiss(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.state not in ("as planned", "not planned")]


@always("all is as planned")
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
            "not all is as planned:\n" + "\n".join(f"  {finding}" for finding in amiss),
            where=deployment.plan.topology,
            advice="Deploy the topology again: that mends it, or says why it cannot.",
        )


@always("what deploying would change")
def show_foreseen(deployment: Deployment) -> list[Finding]:
    """Show on the run's page what a deployment would do to Azure; give everything that was compared."""
    findings = survey_all(deployment)
    show_once(
        markdown.comparison(findings),
        key="what-would-change",
        description=f"What deploying {deployment.plan.topology} would change in Azure",
    )
    return findings


def foresee(plan: Plan, credentials: str) -> list[Finding]:
    """Compare a plan with what is in Azure before anything is deployed, or after.

    Raises:
        NotOurs: a resource group of that name exists and was not made by this topology.
        InvalidTopology: what stands cannot become what the topology says.
    """
    deployment = Deployment(key="terminal", plan=plan, credentials=credentials)
    existing = read_resource_group.fn(deployment)
    judge_fixed_fields.fn(deployment, existing)
    deployment = deployment.operated_from(read_operators.fn(deployment, existing))
    return survey_all(deployment)


def survey_all(deployment: Deployment) -> list[Finding]:
    """Compare everything that is planned with Azure, and name what is ours and not planned any more."""
    planned = list(deployment.inventory.everything())
    findings = survey(deployment, planned)
    if findings[0].state == "missing":  # the resource group
        return findings
    ids = {resource.id.lower() for resource in planned}
    resources = list_resources(deployment, deployment.resource_group)
    return findings + [
        Finding(label=f"{LABELS[one['type']]} {one['name']}", type=one["type"], state="not planned")
        for one in resources
        if one["type"] in LABELS
        and one["id"].lower() not in ids
        and carries_tag(deployment, one)
        and not one["name"].startswith(names.os_disk(""))  # its machine is planned, or named itself
    ]


def with_clusters(deployment: Deployment, findings: Iterable[Finding]) -> list[Finding]:
    """Add what only clusters can tell: exact routes to their pods, what they and machines know of each other.

    That something cannot be reached is a finding too.
    """
    if not deployment.plan.clusters:
        return list(findings)
    told = [*_survey_routes(deployment), *survey_clusters(deployment)]
    return list({finding.label: finding for finding in (*findings, *told)}.values())


def _survey_routes(deployment: Deployment) -> list[Finding]:
    """Compare the route tables with the ranges that Kubernetes has given its nodes."""
    clusters = deployment.plan.clusters
    try:
        routes = [route for region in clusters for route in read_pod_routes.fn(deployment, region)]
    except RoachmeshError as exc:
        return [Finding(label="ranges of pods", type="", state="unreachable", differences=(str(exc),))]
    inventory = deployment.inventory.model_copy(update={"pod_routes": tuple(routes)})
    return survey(deployment, map(inventory.route_table, deployment.plan.regions))


def survey(deployment: Deployment, resources: Iterable[Resource]) -> list[Finding]:
    """Compare resources with what Azure has, without changing anything."""
    return ask_all(lambda resource: _look(deployment, resource), resources)


def _look(deployment: Deployment, resource: Resource) -> Finding:
    found = read(deployment, resource)
    about = {"label": resource.label, "type": resource.type}
    if found is None:
        return Finding(state="missing", **about)
    try:
        require_ours(deployment, found, resource)
    except NotOurs as exc:
        return Finding(state="foreign", differences=(exc.message,), **about)
    lines = (*compare(resource, found), *differences(resource.when_well, found))
    if lines:
        return Finding(state="different", differences=lines, **about)
    if resource.type == VIRTUAL_MACHINE and power_state(found) != "running":
        return Finding(state="not running", differences=(f"it is {power_state(found)}",), **about)
    return Finding(state="as planned", **about)
