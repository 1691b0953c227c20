"""Whether nodes reach each other, tested with packets on the database's own ports."""

from collections.abc import Sequence

from prefect.artifacts import create_markdown_artifact

from roachmesh.errors import GateFailed
from roachmesh.plan import Node
from roachmesh.reachability import Observation, as_markdown, unreachable
from roachmesh.render.systemd import ANSWERER, SERVICE
from roachmesh.security_rules import CONSOLE_PORT, SQL_PORT
from tasks.deployment import Deployment
from tasks.engine import judging
from tasks.hosts import session
from tasks.machines import Machine
from tasks.sessions import program_text

PORTS = (SQL_PORT, CONSOLE_PORT)
PROBE_TIMEOUT_S = 5
ANSWERER_LIFETIME_S = 120


@judging("answer on {machine.host.name}")
def start_answerer(deployment: Deployment, machine: Machine) -> None:
    """Answer on the database's ports where nothing listens yet; CockroachDB answers for itself.

    It ends after two minutes, or when CockroachDB starts. That is said here and not in CockroachDB's own
    unit: systemd makes no transient unit of a name that another unit speaks of.
    """
    host = session(deployment, machine.host)
    if host.succeeds(["systemctl", "is-active", "--quiet", SERVICE]):
        return
    host.succeeds(["systemctl", "stop", ANSWERER])
    options = ["--quiet", "--collect", f"--unit={ANSWERER}", "--property=Type=notify"]
    options += ["--property=User=nobody", f"--property=RuntimeMaxSec={ANSWERER_LIFETIME_S}"]
    options += [f"--property=Conflicts={SERVICE}", f"--property=Before={SERVICE}"]
    host.run(["systemd-run", *options, "python3", "-c", program_text("answer"), *map(str, PORTS)])


@judging("probe from {machine.host.name}")
def probe_from(deployment: Deployment, machine: Machine, targets: Sequence[Node]) -> list[Observation]:
    """Connect from one node to all others, on every port, at once."""
    others = [node for node in targets if node.name != machine.node.name]
    pairs = [(node, port) for node in others for port in PORTS]
    request = {
        "targets": [(str(node.address), port) for node, port in pairs],
        "timeout_s": PROBE_TIMEOUT_S,
    }
    host = session(deployment, machine.host)
    answers = host.program("probe", request)
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


@judging("every node reaches every other")
def judge_reachability(deployment: Deployment, observations: Sequence[Sequence[Observation]]) -> int:
    """Show the matrix, and let nobody pass unless every pair can talk; gives the number of connections.

    Raises:
        GateFailed: naming exactly the pairs that cannot.
    """
    seen = [observation for row in observations for observation in row]
    create_markdown_artifact(
        as_markdown(seen), key="network-test", description=f"Network test of {deployment.plan.topology}"
    )
    broken = unreachable(seen)
    if broken:
        raise GateFailed(
            f"{len(broken)} of {len(seen)} connections fail: {'; '.join(map(str, broken))}.",
            where="network test",
            advice="CockroachDB was not touched. Check peerings and security rules, then resume.",
        )
    return len(seen)
