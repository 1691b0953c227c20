"""The disk that holds a node's store: formatted once, mounted by systemd."""

from roachmesh.render import systemd
from tasks.deployment import Deployment
from tasks.engine import converging
from tasks.hosts import session
from tasks.machines import Machine

# By LUN, newest scheme first. Source: azure-vm-utils and the Azure Linux agent's udev rules.
DEVICES = ["/dev/disk/azure/data/by-lun/0", "/dev/disk/azure/scsi1/lun0"]


@converging("store {machine.host.name}")
def ensure_store_mounted(deployment: Deployment, machine: Machine) -> str:
    """Mount the data disk where the store lives; gives the disk's device.

    Raises:
        HostFailed: there is no such disk, or it holds something that is not ours.
    """
    host = session(deployment, machine.host)
    device: str = host.program("prepare_disk", {"candidates": DEVICES})["device"]
    unit = f"{systemd.UNIT_DIR}/{systemd.STORE_MOUNT}"
    host.place_files([(unit, systemd.store_mount(device), "0644", "root")])
    # A node may run on it: a unit that was written anew holds from the machine's next start on.
    host.ensure_service(systemd.STORE_MOUNT, files=[unit], restart=False)
    return device
