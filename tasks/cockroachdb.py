"""CockroachDB on plain machines: binary, certificates, systemd service."""

import threading
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address

from blocks.logger import logger
from roachmesh import certificates as purposes
from roachmesh import names
from roachmesh.certificates import Purpose
from roachmesh.errors import DatabaseBusy
from roachmesh.outcome import Outcome
from roachmesh.plan import Node
from roachmesh.render import systemd
from roachmesh.security_rules import CONSOLE_PORT
from tasks import certificates
from tasks.deployment import Deployment
from tasks.engine import once
from tasks.hosts import session
from tasks.machines import Machine
from tasks.sessions import File, Session
from tasks.wait import wait_until

READY_TIMEOUT_S = 600.0
CERTIFICATES = systemd.CERTIFICATES_DIR
UNIT = f"{systemd.UNIT_DIR}/{systemd.SERVICE}"

# A node is restarted only while all others are left alone, or the cluster would lose its quorum.
restarting = threading.Lock()


@once("install {machine.host.name}")
def ensure_cockroachdb_installed(deployment: Deployment, machine: Machine) -> Outcome:
    """Place binary, certificates and unit on a machine, without starting anything.

    Raises:
        HostBusy: the download failed.
        HostFailed: the archive's checksum is wrong, for instance.
    """
    version = deployment.plan.cockroachdb.version
    archive = deployment.artifact_source().cockroachdb(version)
    host = session(deployment, machine.host)
    host.ensure_user(names.DATABASE_USER, home=systemd.STORE_DIR)
    installed = host.install_binary(archive, systemd.BINARY)
    unit = systemd.cockroach_service(deployment.plan, machine.node)
    files: list[File] = [(systemd.BINARY, None, "0755", "root"), (UNIT, unit, "0644", "root")]
    files += _certificates(deployment, host, machine.node)
    owner = names.DATABASE_USER
    directories = [
        (f"{systemd.STORE_DIR}/data", "0700", owner),
        ("/etc/cockroach", "0755", "root"),
        (CERTIFICATES, "0700", owner),
    ]
    changed = host.place_files(files, directories)
    if changed:
        logger().info("placed %s", ", ".join(changed))
    return host.outcome(f"CockroachDB {version}", new=installed, changed=bool(changed))


def _certificates(deployment: Deployment, host: Session, node: Node) -> list[File]:
    """Issue what a node lacks; a certificate that still serves keeps its place, and its mode."""
    block = deployment.certificates()
    owner = names.DATABASE_USER
    return [
        *((f"{CERTIFICATES}/{name}", text, "0644", owner) for name, text in block.trusted.items()),
        *certificates.on_machine(host, block, purposes_of(node), owner),
    ]


def purposes_of(node: Node) -> dict[str, Purpose]:
    """Say what a node's certificates are for, by their paths without `.crt`."""
    return {
        f"{CERTIFICATES}/node": purposes.node_purpose(node.address, node.name, names.nodes_host(node.region)),
        f"{CERTIFICATES}/client.node": purposes.client_purpose("node"),
    }


@once("start {machine.host.name}")
def ensure_cockroachdb_started(deployment: Deployment, machine: Machine) -> Outcome:
    """Have a node running what was placed.

    Nodes are started all at once, but restarted one after the other, each ready before the next.

    Raises:
        NotReadyYet: a restarted node does not take part again after 600 s.
    """
    pairs = ("node.crt", "client.node.crt")
    files = [
        UNIT,
        systemd.BINARY,
        *(f"{CERTIFICATES}/{name}" for name in (*deployment.certificates().trusted, *pairs)),
    ]
    host = session(deployment, machine.host)
    what = f"service {systemd.SERVICE}"
    did = host.ensure_service(systemd.SERVICE, files=files, restart=False)
    if not did["stale"]:
        return host.outcome(what, new=did["change"] == "started", changed=False)
    logger().info("restarting for %s", ", ".join(did["stale"]))
    with restarting:
        was_ready = is_ready(host)
        host.ensure_service(systemd.SERVICE, files=files)
        if was_ready:
            wait_until(
                lambda: _require_ready(host),
                what=f"{machine.host.name} ready after its restart",
                timeout_s=READY_TIMEOUT_S,
                advice=f"See `journalctl -u {systemd.SERVICE}` on the machine.",
            )
    return host.outcome(what, new=False, changed=True)


class MachineNode:
    """The node of the database that is a machine's service."""

    def __init__(self, deployment: Deployment, machine: Machine) -> None:
        self._session = session(deployment, machine.host)
        self.host = str(machine.node.address)
        self.listens_on = IPv4Address("127.0.0.1")

    def is_ready(self) -> bool:
        """Ask whether it takes part in a cluster."""
        return is_ready(self._session)

    def run(self, command: Sequence[str], files: Mapping[str, str], timeout_s: int) -> str:
        """Run `cockroach` where the node runs; see `Session.run` for the files."""
        return self._session.run([systemd.BINARY, *command], files=files, timeout_s=timeout_s)


def _require_ready(host: Session) -> bool:
    if not is_ready(host):
        raise DatabaseBusy("it does not say that it is ready")
    return True


def is_ready(host: Session) -> bool:
    """Ask a node whether it takes part in a cluster."""
    url = f"https://localhost:{CONSOLE_PORT}/health?ready=1"
    return host.succeeds(["curl", "-sf", "-m", "5", "--cacert", f"{CERTIFICATES}/ca.crt", url])
