"""Whether nodes reach each other, tested with packets on the database's own ports."""

from collections.abc import Sequence

from prefect.artifacts import create_markdown_artifact

from blocks.logger import logger
from roachmesh.errors import GateFailed, HostUnreachable, NotReadyYet
from roachmesh.plan import Node
from roachmesh.reachability import Observation, as_markdown, describe, unreachable
from roachmesh.render.systemd import ANSWERER, SERVICE
from roachmesh.security_rules import CONSOLE_PORT, SQL_PORT
from tasks.deployment import Deployment
from tasks.drift import survey
from tasks.engine import always
from tasks.hosts import session
from tasks.machines import Machine
from tasks.sessions import program_text
from tasks.wait import wait_until

PORTS = (SQL_PORT, CONSOLE_PORT)
PROBE_TIMEOUT_S = 5
PATIENCE_S = 20.0
ANSWERER_LIFETIME_S = 120


@always("answer on {machine.host.name}")
def start_answerer(deployment: Deployment, machine: Machine) -> None:
    """Answer on the database's ports where nothing listens yet; CockroachDB answers for itself.

    It ends after two minutes, or when CockroachDB starts. That is said here and not in CockroachDB's own
    unit: systemd makes no transient unit of a name that another unit speaks of.
    """
    try:
        host = session(deployment, machine.host)
    except HostUnreachable as exc:
        logger().warning("%s", exc)  # its probe says so to the judge
        return
    if host.succeeds(["systemctl", "is-active", "--quiet", SERVICE]):
        return
    host.succeeds(["systemctl", "stop", ANSWERER])
    options = ["--quiet", "--collect", f"--unit={ANSWERER}", "--property=Type=notify"]
    options += ["--property=User=nobody", f"--property=RuntimeMaxSec={ANSWERER_LIFETIME_S}"]
    options += [f"--property=Conflicts={SERVICE}", f"--property=Before={SERVICE}"]
    host.run(["systemd-run", *options, "python3", "-c", program_text("answer"), *map(str, PORTS)])


@always("probe from {machine.host.name}")
def probe_from(deployment: Deployment, machine: Machine, targets: Sequence[Node]) -> list[Observation]:
    """Connect from one node to all others, on every port, at once; what fails is tried again for 20 s.

    Azure says that a rule or a peering is there some seconds before packets notice.
    """
    others = [node for node in targets if node.name != machine.node.name]
    pairs = [(node, port) for node in others for port in PORTS]
    seen: list[Observation] = []

    def all_answer() -> bool | None:
        seen[:] = _probe(deployment, machine, pairs)
        return None if unreachable(seen) else True

    try:
        wait_until(all_answer, what=f"answers to {machine.host.name}", timeout_s=PATIENCE_S)
    except NotReadyYet:
        if not seen:
            raise
    return seen


def _probe(deployment: Deployment, machine: Machine, pairs: Sequence[tuple[Node, int]]) -> list[Observation]:
    request = {
        "targets": [(str(node.address), port) for node, port in pairs],
        "timeout_s": PROBE_TIMEOUT_S,
    }
    try:
        answers = session(deployment, machine.host).program("probe", request)
    except HostUnreachable as exc:
        untested = {"error": f"not tested: {exc.message}", "round_trip_ms": None, "seen_as": None}
        answers = [untested] * len(pairs)
    return [
        Observation(
            source=machine.node,
            target=node,
            port=port,
            error=answer["error"],
            round_trip_ms=answer["round_trip_ms"],
            seen_as=answer["seen_as"],
        )
        for (node, port), answer in zip(pairs, answers, strict=True)
    ]


@always("every node reaches every other")
def judge_reachability(deployment: Deployment, observations: Sequence[Sequence[Observation]]) -> int:
    """Show the matrix, and let nobody pass unless every pair can talk; gives the number of connections.

    Raises:
        GateFailed: naming exactly the pairs that cannot, and what in Azure is not as planned.
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
                    f"{len(broken)} of {len(seen)} connections fail.",
                    *(f"- {line}" for line in describe(seen)),
                    "",
                    diagnosis,
                )
            ),
            where="network test",
            advice="Nothing was done to CockroachDB.",
        )
    return len(seen)


def _diagnose(deployment: Deployment) -> str:
    """Say what in Azure could be the reason."""
    findings = survey(deployment, deployment.inventory.networking())
    amiss = [finding for finding in findings if finding.state != "as planned"]
    if not amiss:
        return (
            f"Azure's {len(findings)} network objects and machines match the plan: packets are lost all the "
            "same. Look for firewalls on the machines, policies of the subscription, or ask Azure's support."
        )
    lines = "\n".join(f"- {finding}" for finding in amiss)
    return f"Azure is not as planned; deploying the topology again mends it:\n\n{lines}"
