"""Settings and processes of a network namespace."""

from collections.abc import Mapping
from pathlib import Path

from sandbox import processes
from sandbox.commands import run
from sandbox.fabric import names
from sandbox.fabric.sockets import in_namespace


def write_settings(namespace: str, settings: Mapping[str, int]) -> None:
    """Write `net` settings of a namespace, named like their files under /proc/sys/net."""

    def write() -> None:
        for name, value in settings.items():
            file = Path("/proc/sys/net", name)
            if file.exists():  # a kernel without IPv6 has none of its settings
                file.write_text(str(value))

    in_namespace(namespace, write)


def kill_inside(namespace: str) -> None:
    """Kill every process in a namespace, and wait until it is gone."""
    if names.path(namespace).exists():
        for process_id in run("ip", "netns", "pids", namespace).split():
            processes.kill(int(process_id))
