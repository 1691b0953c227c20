"""Whether nodes reach each other, tested with packets on the database's own ports."""

from collections.abc import Sequence
from typing import Any

from prefect.artifacts import create_markdown_artifact

from blocks.logger import logger
from roachmesh.errors import GateFailed, HostUnreachable
from roachmesh.reachability import (
    Endpoint,
    Observation,
    as_markdown,
    describe,
    describe_packets,
    small_packets,
    unreachable,
)
from roachmesh.render.network_test import LIFETIME_S
from roachmesh.render.systemd import ANSWERER, SERVICE
from roachmesh.security_rules import DATABASE_PORTS
from tasks.deployment import Deployment
from tasks.drift import survey, with_clusters
from tasks.engine import always
from tasks.hosts import session
from tasks.machines import Machine
from tasks.sessions import program_text

STEP_TIMEOUT_S = 5
PATIENCE_S = 20  # Azure says that a rule or a peering is there some seconds before packets notice


@always("answer on {machine.host.name}")
def start_answerer(deployment: Deployment, machine: Machine) -> list[Endpoint]:
    """Answer on the database's ports where nothing listens yet; CockroachDB answers for itself.

    It ends after five minutes, or when CockroachDB starts. That is said here and not in CockroachDB's own
    unit: systemd makes no transient unit of a name that another unit speaks of.
    """
    node = machine.node
    endpoint = Endpoint(name=node.name, region=node.region, address=node.address, host=None, answers=False)
    try:
        host = session(deployment, machine.host)
    except HostUnreachable as exc:
        logger().warning("%s", exc)  # its probe says so to the judge
        return [endpoint]
    if host.succeeds(["systemctl", "is-active", "--quiet", SERVICE]):
        return [endpoint]
    host.succeeds(["systemctl", "stop", ANSWERER])
    options = ["--quiet", "--collect", f"--unit={ANSWERER}", "--property=Type=notify"]
    options += ["--property=User=nobody", f"--property=RuntimeMaxSec={LIFETIME_S}"]
    options += [f"--property=Conflicts={SERVICE}", f"--property=Before={SERVICE}"]
    host.run(["systemd-run", *options, "python3", "-c", program_text("answer"), *map(str, DATABASE_PORTS)])
    return [endpoint.model_copy(update={"answers": True})]


@always("probe from {machine.host.name}")
def probe_from(deployment: Deployment, machine: Machine, endpoints: Sequence[Endpoint]) -> list[Observation]:
    """Try everything from one machine to all others at once; what fails is tried again for 20 s."""
    source, targets = ends(machine.node.name, endpoints)
    try:
        answers = session(deployment, machine.host).program("probe", probe_request(targets))
    except HostUnreachable as exc:
        untested = {"problems": {"not tested": exc.message}, "round_trip_ms": None, "packet_bytes": None}
        answers = [untested] * len(targets)
    return observed(source, targets, answers)


def ends(name: str, endpoints: Sequence[Endpoint]) -> tuple[Endpoint, list[Endpoint]]:
    """Give the endpoint of that name, and all others."""
    (source,) = (end for end in endpoints if end.name == name)
    return source, [end for end in endpoints if end.name != name]


def probe_request(targets: Sequence[Endpoint]) -> dict[str, Any]:
    """Say what `roachmesh/remote/probe.py` is to try."""
    return {
        "targets": [
            {"address": str(end.address), "name": end.host, "answers": end.answers} for end in targets
        ],
        "ports": DATABASE_PORTS,
        "timeout_s": STEP_TIMEOUT_S,
        "patience_s": PATIENCE_S,
    }


def observed(
    source: Endpoint, targets: Sequence[Endpoint], answers: Sequence[dict[str, Any]]
) -> list[Observation]:
    """Take down what a probe answered."""
    return [
        Observation(source=source, target=target, **answer)
        for target, answer in zip(targets, answers, strict=True)
    ]


@always("every node reaches every other")
def judge_reachability(deployment: Deployment, observations: Sequence[Sequence[Observation]]) -> None:
    """Show the matrix, and let nobody pass unless every pair can talk.

    Raises:
        GateFailed: naming exactly the pairs that cannot, and what is not as planned.
    """
    seen = [observation for row in observations for observation in row]
    broken = unreachable(seen)
    diagnosis = _diagnose(deployment) if broken else ""
    create_markdown_artifact(
        f"{as_markdown(seen)}\n\n{diagnosis}",
        key="network-test",
        description=f"Network test of {deployment.plan.topology}",
    )
    if broken:
        raise GateFailed(
            "\n".join(
                (
                    f"{len(broken)} of {len(seen)} pairs fail.",
                    *(f"- {line}" for line in describe(seen)),
                    "",
                    diagnosis,
                )
            ),
            where="network test",
            advice="Nothing was done to CockroachDB.",
        )
    if small_packets(seen):
        logger().warning("%s", describe_packets(seen))


def _diagnose(deployment: Deployment) -> str:
    """Say what could be the reason."""
    findings = with_clusters(deployment, survey(deployment, deployment.inventory.networking()))
    amiss = [finding for finding in findings if finding.state != "as planned"]
    if not amiss:
        where = "in Azure, in clusters and on machines" if deployment.plan.clusters else "in Azure"
        return (
            f"All {len(findings)} things {where} that decide who reaches whom match the plan: packets are "
            "lost all the same. Look for firewalls on the machines, policies of the subscription, or ask "
            "Azure's support."
        )
    lines = "\n".join(f"- {finding}" for finding in amiss)
    return f"Not all is as planned; deploying the topology again mends it:\n\n{lines}"
