"""The cluster as a whole: initialised once, all nodes live."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from roachmesh import certificates
from roachmesh.errors import DatabaseBusy, DatabaseFailed, HostFailed
from roachmesh.render.systemd import BINARY
from roachmesh.security_rules import SQL_PORT
from tasks.deployment import Deployment
from tasks.engine import converging, judging
from tasks.hosts import session
from tasks.machines import Machine
from tasks.sessions import Session
from tasks.wait import wait_until

CLIENT_LIFETIME = timedelta(hours=1)
INITIALISE_TIMEOUT_S = 600
MEMBERS_TIMEOUT_S = 300.0


@converging("cockroach init on {machine.host.name}")
def ensure_initialised(deployment: Deployment, machine: Machine) -> bool:
    """Initialise the cluster through one node, always the same; tells whether it was new.

    `cockroach init` waits by itself and is sent to no second node, or there might be two clusters.

    Raises:
        DatabaseFailed: the node refuses.
    """
    host = session(deployment, machine.host)
    with _root_certificate(deployment, host) as directory:
        try:
            host.run(_cockroach(machine, directory, "init"), timeout_s=INITIALISE_TIMEOUT_S)
        except HostFailed as exc:
            if "already been initialized" in exc.message:
                return False
            raise DatabaseFailed(exc.message, where=machine.host.name) from exc
    return True


@judging("all nodes live")
def wait_for_members(deployment: Deployment, machine: Machine) -> list[dict[str, Any]]:
    """Wait until every planned node is a live member of the one cluster.

    A node that formed a cluster of its own would be missing in this one's list.

    Returns:
        A row of `cockroach node status` for each node.

    Raises:
        NotReadyYet: naming the nodes that are not live after 300 s.
    """
    planned = {f"{node.address}:{SQL_PORT}": node.name for node in deployment.plan.nodes}
    host = session(deployment, machine.host)
    with _root_certificate(deployment, host) as directory:
        command = _cockroach(machine, directory, "node", "status", "--format=json")

        def all_live() -> list[dict[str, Any]] | None:
            rows: list[dict[str, Any]] = json.loads(host.run(command))
            live = {row["address"] for row in rows if row["is_live"] == "true"}
            absent = [name for address, name in planned.items() if address not in live]
            if absent:
                raise DatabaseBusy(f"not live: {', '.join(absent)}")
            return rows

        return wait_until(
            all_live,
            what=f"{len(planned)} live nodes",
            timeout_s=MEMBERS_TIMEOUT_S,
            advice="See `journalctl -u cockroach` on the nodes that are not live.",
        )


def _cockroach(machine: Machine, certificates_directory: str, *command: str) -> list[str]:
    host = f"--host={machine.node.address}:{SQL_PORT}"
    return [BINARY, *command, f"--certs-dir={certificates_directory}", host]


@contextmanager
def _root_certificate(deployment: Deployment, host: Session) -> Iterator[str]:
    """Put a certificate of SQL's root, valid for an hour, into memory of a machine and take it away again."""
    authority = deployment.certificates().authority()
    root = certificates.issue(
        authority, certificates.client_purpose("root"), datetime.now(UTC), CLIENT_LIFETIME
    )
    directory = f"/run/roachmesh-{secrets.token_hex(8)}"
    files = [
        (f"{directory}/ca.crt", authority.certificate, "0644", "root"),
        (f"{directory}/client.root.crt", root.certificate, "0644", "root"),
        (f"{directory}/client.root.key", root.key, "0600", "root"),
    ]
    try:
        host.place_files(files, [(directory, "0700", "root")])
        yield directory
    finally:
        host.run(["rm", "-rf", directory])
