"""What this computer has that a demo could leave behind."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from demo.instance import MARK as DEMO_MARK
from sandbox.processes import MARKER as SANDBOX_MARK


@dataclass(frozen=True)
class Leftovers:
    """Everything of ours in the kernel and on the disk at one moment, whatever its instance."""

    namespaces: tuple[str, ...]
    links: tuple[str, ...]
    routes: tuple[str, ...]
    mounts: tuple[str, ...]
    loops: tuple[str, ...]
    tables: tuple[str, ...]
    processes: tuple[str, ...]
    directories: tuple[str, ...]

    @classmethod
    def look(cls) -> "Leftovers":
        """Look now."""
        return cls(
            namespaces=_lines("ip", "netns", "list"),
            links=_lines("ip", "-brief", "link", "show"),
            routes=_lines("ip", "route", "show"),
            mounts=tuple(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()),
            loops=_lines("losetup", "--list", "--noheadings"),
            tables=_lines("nft", "list", "tables"),
            processes=_marked(),
            directories=tuple(sorted(map(str, Path("/var/lib/roachmesh").glob("*")))),
        )


def _lines(*command: str) -> tuple[str, ...]:
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return tuple(sorted(line.split("  ")[0].strip() for line in printed.splitlines()))


def _marked() -> tuple[str, ...]:
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            environment = (directory / "environ").read_bytes()
            name = (directory / "comm").read_text().strip()
        except OSError:
            continue  # it ended meanwhile
        if any(f"{mark}=".encode() in environment for mark in (DEMO_MARK, SANDBOX_MARK)):
            found.append(name)
    return tuple(sorted(found))
