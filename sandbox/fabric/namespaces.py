"""Settings and processes of a network namespace."""

from collections.abc import Mapping
from pathlib import Path

from sandbox import processes
from sandbox.commands import run
from sandbox.fabric import names
from sandbox.fabric.sockets import in_namespace

_SETTINGS = Path("/proc/sys/net")


def write_settings(namespace: str, settings: Mapping[str, int]) -> None:
    """Write settings of a namespace, named like their files under /proc/sys/net."""

    def write() -> None:
        for name, value in settings.items():
            Path(_SETTINGS, name).write_text(str(value))

    in_namespace(namespace, write)


def without_ipv6(*links: str) -> dict[str, int]:
    """Return the settings that switch IPv6 off; a kernel without it has none."""
    return {f"ipv6/conf/{link}/disable_ipv6": 1 for link in links if Path(_SETTINGS, "ipv6").exists()}


def kill_inside(namespace: str) -> None:
    """Kill every process in a namespace, and wait until it is gone."""
    if names.path(namespace).exists():
        for process_id in run("ip", "netns", "pids", namespace).split():
            processes.kill(int(process_id))
