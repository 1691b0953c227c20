"""Data disks without room: a file that takes every block, in the machine's own file system."""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sandbox.commands import run
from sandbox.fabric import names
from sandbox.instance import Instance

_FILE = ".sandbox-fault-full"
_STEP = 1 << 30


def fill(instance: Instance, key: str) -> None:
    """Take all room on the data disks that a machine has mounted; little of it on this computer.

    Raises:
        FileNotFoundError: it has mounted none.
    """
    found = list(_mounted(instance, key))
    if not found:
        raise FileNotFoundError("it has mounted no data disk")
    for folder in found:
        _fill(folder / _FILE)


def free(instance: Instance, key: str) -> None:
    """Give the room back."""
    for folder in _mounted(instance, key):
        (folder / _FILE).unlink(missing_ok=True)


def _fill(file: Path) -> None:
    """Ask for blocks in steps that become smaller: the last ones are as scarce as they are for others."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        step = _STEP
        while step:
            try:
                os.posix_fallocate(handle, os.fstat(handle).st_size, step)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                step //= 2
    finally:
        os.close(handle)


def _mounted(instance: Instance, key: str) -> Iterator[Path]:
    """Yield where a machine's data disks are mounted, as this computer sees it through a process in it."""
    processes = run("ip", "netns", "pids", names.machine(instance, key)).split()
    first = Path("/proc", str(min(map(int, processes), default=0)))
    with suppress(FileNotFoundError):  # nothing runs
        for line in (first / "mountinfo").read_text().splitlines():
            mount, _, source = line.partition(" - ")
            if source.split()[1].startswith("/dev/nvme0n"):
                yield first / "root" / mount.split()[4].lstrip("/")
