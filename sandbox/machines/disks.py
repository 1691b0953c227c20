"""Data disks: sparse files on this computer, loop devices in the machine."""

import json
import re
from hashlib import sha256
from pathlib import Path

from sandbox.commands import run
from sandbox.instance import Instance
from sandbox.machines.model import DataDisk

CAP_GIB = 4  # what a disk really holds at most, whatever size ARM says it has

_GIB = 1 << 30


def folder(instance: Instance) -> Path:
    """Return where the instance keeps its disks."""
    return instance.directory / "disks"


def file_of(instance: Instance, disk_id: str) -> Path:
    """Return the file that holds a disk: its name for people, a digest to be unique."""
    name = re.sub(r"[^\w.-]", "_", disk_id.rpartition("/")[2])[:80]
    return folder(instance) / f"{name}-{sha256(disk_id.lower().encode()).hexdigest()[:12]}.img"


def attach(instance: Instance, disk: DataDisk) -> str:
    """Make the disk unless it exists, and return its loop device."""
    file = file_of(instance, disk.id)
    if device := _devices().get(str(file)):
        return device
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as opened:
        opened.truncate(min(disk.size_gib, CAP_GIB) * _GIB)
    return run("losetup", "--find", "--show", file).strip()


def detach(file: Path) -> None:
    """Take the loop device off a disk, if it has one."""
    if device := _devices().get(str(file)):
        run("losetup", "--detach", device)


def delete(instance: Instance, disk_id: str) -> None:
    """Forget a disk and all that is on it."""
    file = file_of(instance, disk_id)
    detach(file)
    file.unlink(missing_ok=True)


def detach_all(instance: Instance) -> None:
    """Take away every loop device of the instance."""
    for file in _devices():
        if Path(file).is_relative_to(folder(instance)):
            detach(Path(file))


def _devices() -> dict[str, str]:
    """Return the loop device of every file that has one."""
    answer = run("losetup", "--list", "--json", "--output", "NAME,BACK-FILE")
    devices = json.loads(answer)["loopdevices"] if answer else []
    return {device["back-file"]: device["name"] for device in devices if device["back-file"]}
