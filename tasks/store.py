"""The disk that holds a node's store: formatted once, mounted by systemd."""

from roachmesh.errors import HostFailed
from roachmesh.outcome import Outcome
from roachmesh.render import systemd
from tasks.deployment import Deployment
from tasks.engine import always, once
from tasks.hosts import session
from tasks.machines import Machine
from tasks.sessions import Session

# By LUN, newest scheme first. Source: azure-vm-utils and the Azure Linux agent's udev rules.
DEVICES = ["/dev/disk/azure/data/by-lun/0", "/dev/disk/azure/scsi1/lun0"]
MIN_FREE = 0.05
GIB = 2**30


@once("store {machine.host.name}")
def ensure_store_mounted(deployment: Deployment, machine: Machine) -> Outcome:
    """Mount the data disk where the store lives.

    Raises:
        HostFailed: there is no such disk, it holds something that is not ours, or it is full.
    """
    host = session(deployment, machine.host)
    disk = host.program("prepare_disk", {"candidates": DEVICES})
    directory = systemd.store_dir(machine.node)
    name = systemd.mount_unit(directory)
    unit = f"{systemd.UNIT_DIR}/{name}"
    placed = host.place_files([(unit, systemd.store_mount(disk["device"], directory), "0644", "root")])
    # A node may run on it: a unit that was written anew holds from the machine's next start on.
    did = host.ensure_service(name, files=[unit], restart=False)
    changed = bool(placed) or did["change"] != "unchanged"
    _require_room(host, directory)
    return host.outcome(f"store {disk['device']}", new=disk["changed"], changed=changed)


@always("room on {machine.host.name}")
def judge_room(deployment: Deployment, machine: Machine) -> None:
    """Let no node pass whose store is full.

    Raises:
        HostFailed: less than 5 % are left.
    """
    _require_room(session(deployment, machine.host), systemd.store_dir(machine.node))


def _require_room(host: Session, directory: str) -> None:
    said = host.run(["df", "--block-size=1", "--output=avail,size", directory])
    free, size = map(int, said.splitlines()[1].split())
    if free < MIN_FREE * size:
        raise HostFailed(
            f"the store's disk is full: {free / GIB:.1f} of {size / GIB:.1f} GiB are left.",
            where=host.name,
            advice="Delete data, or deploy with more nodes: CockroachDB moves data to them by itself.",
        )
