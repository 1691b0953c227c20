"""What a demo left on this computer, found by its mark: other demos may be running beside it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

from demo.instance import Instance


def leftovers(instance: Instance) -> list[str]:
    """List namespaces, links, routes, mounts, loop devices, tables, cgroups, processes and folders."""
    mark, addresses = instance.sandbox.mark, str(instance.sandbox.public_network)
    folder = f"/roachmesh/{instance.sandbox.name}/"
    return [
        *_containing(f"{mark}-", "ip", "netns", "list"),
        *_containing(f"{mark}-", "ip", "-brief", "link", "show"),
        *_containing(addresses, "ip", "route", "show"),
        *_containing(folder, "cat", "/proc/mounts"),
        *_containing(folder, "losetup", "--list", "--noheadings", "--output", "BACK-FILE"),
        *_containing(mark, "nft", "list", "tables"),
        *map(str, Path("/sys/fs/cgroup").glob(f"**/{mark}")),
        *_processes(mark),
        *map(str, Path("/var/lib/roachmesh").glob(instance.sandbox.name)),
    ]


def _containing(text: str, *command: str) -> list[str]:
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line for line in printed.splitlines() if text in line]


def _processes(mark: str) -> Iterator[str]:
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            environment = (directory / "environ").read_text(errors="replace").split("\0")
            name = (directory / "comm").read_text().strip()
        except OSError:
            continue  # it ended meanwhile
        if any(entry.startswith("ROACHMESH_") and entry.endswith(f"={mark}") for entry in environment):
            yield f"process {directory.name} {name}"
