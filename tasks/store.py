"""The disk that holds a node's store: formatted once, mounted by systemd."""

from roachmesh.outcome import Outcome
from roachmesh.render import systemd
from tasks.deployment import Deployment
from tasks.engine import converging
from tasks.hosts import session
from tasks.machines import Machine

# By LUN, newest scheme first. Source: azure-vm-utils and the Azure Linux agent's udev rules.
DEVICES = ["/dev/disk/azure/data/by-lun/0", "/dev/disk/azure/scsi1/lun0"]


@converging("store {machine.host.name}")
def ensure_store_mounted(deployment: Deployment, machine: Machine) -> Outcome:
    """Mount the data disk where the store lives.

    Raises:
        HostFailed: there is no such disk, or it holds something that is not ours.
    """
    host = session(deployment, machine.host)
    disk = host.program("prepare_disk", {"candidates": DEVICES})
    unit = f"{systemd.UNIT_DIR}/{systemd.STORE_MOUNT}"
    placed = host.place_files([(unit, systemd.store_mount(disk["device"]), "0644", "root")])
    # A node may run on it: a unit that was written anew holds from the machine's next start on.
    did = host.ensure_service(systemd.STORE_MOUNT, files=[unit], restart=False)
    changed = bool(placed) or did["change"] != "unchanged"
    return host.outcome(f"store {disk['device']}", new=disk["changed"], changed=changed)
