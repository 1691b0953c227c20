"""The cluster as a whole: initialised once, all nodes live."""

import json
from collections.abc import Sequence
from typing import Any

from roachmesh.errors import DatabaseBusy, DatabaseFailed, HostFailed, KubernetesRefused
from roachmesh.outcome import Outcome
from roachmesh.security_rules import SQL_PORT
from tasks.certificates import of_root
from tasks.database_node import database_node
from tasks.deployment import Deployment
from tasks.engine import always, once
from tasks.machines import Machine, in_region
from tasks.sessions import TIMEOUT_S
from tasks.wait import wait_until

INITIALISE_TIMEOUT_S = 600
MEMBERS_TIMEOUT_S = 300.0


@once("cockroach init")
def ensure_initialised(deployment: Deployment, machines: Sequence[Machine]) -> Outcome:
    """Initialise the cluster through its first node, unless any node takes part in one already.

    `cockroach init` waits by itself and is sent to no second node, or there might be two clusters: also
    not to a new node that the topology puts first. The first node is one that all others are told to
    join, which is not true of every pod. Source: "cockroach init", CockroachDB documentation.

    Raises:
        DatabaseFailed: the node refuses.
    """
    what = "cluster"
    if any(database_node(deployment, machine).is_ready() for machine in machines):
        return Outcome(what=what, change="unchanged")
    initial = deployment.plan.members[0]
    there = in_region(machines, initial.region)
    first = next(one for one in there if database_node(deployment, one).host == initial.host)
    try:
        run_cockroach(deployment, first, "init", timeout_s=INITIALISE_TIMEOUT_S)
    except (HostFailed, KubernetesRefused) as exc:
        if "already been initialized" in exc.message:
            return Outcome(what=what, change="unchanged")
        raise DatabaseFailed(exc.message, where=first.host.name) from exc
    return Outcome(what=what, change="created")


@always("all nodes live")
def wait_for_members(deployment: Deployment, machine: Machine) -> None:
    """Wait until every planned node is a live member of the one cluster.

    A node that formed a cluster of its own would be missing in this one's list.

    Raises:
        NotReadyYet: naming the nodes that are not live after 300 s.
    """
    planned = {member.address: member.name for member in deployment.plan.members}

    def all_live() -> bool:
        rows: list[dict[str, Any]] = json.loads(
            run_cockroach(deployment, machine, "node", "status", "--format=json")
        )
        live = {row["address"] for row in rows if row["is_live"] == "true"}
        absent = [name for address, name in planned.items() if address not in live]
        if absent:
            raise DatabaseBusy(f"not live: {', '.join(absent)}")
        return True

    wait_until(
        all_live,
        what=f"{len(planned)} live nodes",
        timeout_s=MEMBERS_TIMEOUT_S,
        advice="See `journalctl -u cockroach` on machines that are not live, `kubectl logs` of pods.",
    )


def run_cockroach(deployment: Deployment, machine: Machine, *command: str, timeout_s: int = TIMEOUT_S) -> str:
    """Run `cockroach` beside a machine's node as SQL's root, whose certificate is there no longer than it."""
    node = database_node(deployment, machine)
    return node.run(
        [*command, "--certs-dir={files}", f"--host={node.host}:{SQL_PORT}"],
        files=of_root(deployment.certificates()),
        timeout_s=timeout_s,
    )
