"""Poolers on plain machines: package, certificate, files, Debian's own unit; the former one goes."""

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import nullcontext

from blocks.logger import logger
from roachmesh.errors import HostBusy, HostFailed
from roachmesh.outcome import Outcome
from roachmesh.pooler import AUTHORITY, CERTIFICATE, PAIR, Pooler
from roachmesh.render import poolers
from roachmesh.security_rules import POOLER_PORT
from tasks import certificates
from tasks.deployment import Deployment
from tasks.engine import once
from tasks.hosts import session
from tasks.machines import Machine
from tasks.sessions import File, Session
from tasks.wait import wait_until

OWNER = "postgres"  # in Debian, poolers too
SERVES_TIMEOUT_S = 60.0

# Clients of a region whose pooler is restarted find another one.
restarting: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


@once("pooler {machine.host.name}")
def ensure_pooler(deployment: Deployment, machine: Machine, region: Sequence[Machine]) -> Outcome:
    """Have a machine's pooler as planned, and no other.

    It is reloaded where that will do, so that sessions of clients live on.

    Args:
        deployment: Whose pooler it is.
        machine: Where it runs.
        region: All machines of the region; clients may look for it at each of them.

    Raises:
        HostFailed: Debian's version is too old, for instance.
        NotReadyYet: after 60 s it does not serve clients with its certificate.
    """
    host = session(deployment, machine.host)
    wanted = poolers.POOLERS.get(deployment.plan.pooler)
    removed = [_remove(host, pooler) for pooler in poolers.POOLERS.values() if pooler is not wanted]
    if wanted is None:
        return host.outcome("no pooler", new=False, changed=any(removed))
    host.ensure_packages(wanted.package)
    _refuse_old(host, wanted)
    placed = host.place_files(
        list(_files(deployment, host, wanted, machine, region)), list(_directories(wanted))
    )
    if placed:
        logger().info("placed %s", ", ".join(placed))
    certificate = host.run(["cat", f"{wanted.directory}/{CERTIFICATE}.crt"])
    did = _ensure_service(host, wanted, restart=False)
    with restarting[machine.node.region] if did == "stale" else nullcontext():
        if did == "stale":
            did = _ensure_service(host, wanted, restart=True)
        wait_until_it_serves(host, "127.0.0.1", certificate, f"on {host.name}")
    new = poolers.drop_in_path(wanted) in placed
    return host.outcome(wanted.title, new=new, changed=bool(placed) or did != "unchanged" or any(removed))


def _remove(host: Session, pooler: Pooler) -> bool:
    """Stop a pooler for good, and delete its passwords and keys; one that is not ours stays."""
    request = {
        "unit": pooler.service,
        "mark": poolers.drop_in_path(pooler),
        "files": [f"{pooler.directory}/{name}" for name in (*pooler.file_names, *PAIR)],
    }
    removed = bool(host.program("remove_service", request)["changed"])
    if removed:
        logger().info("removed %s", pooler.title)
    return removed


def _refuse_old(host: Session, pooler: Pooler) -> None:
    """Stop before anything is written for a version that would not understand it."""
    said = host.run(pooler.version_command)
    if not pooler.understands(said):
        least = ".".join(map(str, pooler.minimum))
        raise HostFailed(
            f"{pooler.title} is too old: {said.splitlines()[0]!r}, and {least} or newer is needed.",
            where=host.name,
            advice=f"The image Debian 13 has it; or install a newer package {pooler.package} there.",
        )


def _files(
    deployment: Deployment, host: Session, pooler: Pooler, machine: Machine, region: Sequence[Machine]
) -> Iterator[File]:
    """Give what a machine's pooler reads, the mark that it is ours first."""
    plan, block = deployment.plan, deployment.certificates()
    public = [one.host.address for one in region]
    purpose = poolers.purpose(plan, plan.region_of(machine.node), public)
    wanted = {f"{pooler.directory}/{CERTIFICATE}": purpose}
    yield poolers.drop_in_path(pooler), pooler.drop_in, "0644", "root"
    yield f"{pooler.directory}/{AUTHORITY}", block.ca_certificate, "0644", OWNER
    yield from certificates.on_machine(host, block, wanted, OWNER)
    texts = pooler.files(poolers.on_machine(plan, machine.node, deployment.passwords()))
    for name, text in texts.items():
        yield f"{pooler.directory}/{name}", text, "0600", OWNER


def _directories(pooler: Pooler) -> Iterator[tuple[str, str, str]]:
    yield poolers.drop_in_path(pooler).rpartition("/")[0], "0755", "root"


def _ensure_service(host: Session, pooler: Pooler, *, restart: bool) -> str:
    """Have it know all its files; tells what that took, or that it takes a restart."""
    names = (*pooler.file_names, *PAIR)
    reloads = [f"{pooler.directory}/{name}" for name in names if name in pooler.reloads]
    others = [f"{pooler.directory}/{name}" for name in names if name not in pooler.reloads]
    files = [poolers.drop_in_path(pooler), *others]
    did = host.ensure_service(pooler.service, files=files, reloads=reloads, restart=restart)
    if did["change"] == "unchanged" and did["stale"]:
        return "stale"
    if did["stale"]:
        logger().info("%s for %s", did["change"], ", ".join(did["stale"]))
    return str(did["change"])


def wait_until_it_serves(host: Session, address: str, certificate: str, what: str) -> None:
    """Wait until clients of a pooler, seen from a machine, are shown this certificate."""

    def serves() -> bool:
        where = {"address": address, "port": POOLER_PORT}
        if host.program("read_served_certificate", where)["certificate"].strip() != certificate.strip():
            raise HostBusy("it serves another certificate than its own", where=host.name)
        return True

    wait_until(serves, what=f"the pooler {what}", timeout_s=SERVES_TIMEOUT_S, advice="See its log.")
