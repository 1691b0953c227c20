"""Remove every trace of an instance's machines, by its mark alone."""

import shutil

from sandbox import processes
from sandbox.fabric import names
from sandbox.fabric.namespaces import kill_inside
from sandbox.instance import Instance
from sandbox.machines import container, disks, groups, mounts


def remove_everything(instance: Instance) -> None:
    """Kill the machines and remove what they and nspawn left, disks included.

    Works whether or not the daemon lives and whatever was killed before; safe to repeat.
    """
    for role in set(processes.roles(instance).values()):
        if role.startswith(container.role("")):
            processes.end(instance, role, grace_s=0)
    for namespace in names.all_of(instance):
        if not names.routes_packets(namespace):
            kill_inside(namespace)
    folder = instance.directory / "machines"
    for root in folder.glob("*/root"):
        container.forget_lock(root)
    mounts.unmount_below(folder)
    disks.detach_all(instance)
    groups.remove_all(instance)
    _remove_nspawn_leftovers(instance)
    for path in (folder, disks.folder(instance)):
        if path.exists():
            shutil.rmtree(path)


def _remove_nspawn_leftovers(instance: Instance) -> None:
    """Remove what a killed nspawn leaves per machine name."""
    for leftover in container.NSPAWN.glob(f"*/{instance.mark}-*"):
        mounts.unmount_below(leftover)
        shutil.rmtree(leftover)
