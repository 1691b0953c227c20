"""Control groups: one per machine, so that nspawn's own do not mix with another's or this computer's."""

from collections.abc import Iterator
from pathlib import Path

from sandbox.instance import Instance

_ROOT = Path("/sys/fs/cgroup")
# Where version 2 stands beside version 1, nspawn works in both of these; elsewhere in the root itself.
_HYBRID = ("unified", "systemd")


def make(instance: Instance, key: str) -> list[str]:
    """Make a machine's groups and return them, for a process that wants to be in."""
    made = [hierarchy / instance.mark / key for hierarchy in _hierarchies()]
    for group in made:
        group.mkdir(parents=True, exist_ok=True)
    return [str(group) for group in made]


def is_populated(instance: Instance, key: str) -> bool:
    """Tell whether anything runs in a machine's groups; the kernel keeps count in version 2."""
    for hierarchy in _hierarchies():
        try:
            return "populated 1" in (hierarchy / instance.mark / key / "cgroup.events").read_text()
        except OSError:
            continue  # a hierarchy of version 1, or no such machine
    return False


def remove(instance: Instance, key: str) -> None:
    """Remove a machine's groups; nothing runs in them any more."""
    for hierarchy in _hierarchies():
        _remove(hierarchy / instance.mark / key)


def remove_all(instance: Instance) -> None:
    """Remove every group of the instance."""
    for hierarchy in _hierarchies():
        _remove(hierarchy / instance.mark)


def _hierarchies() -> Iterator[Path]:
    hybrid = [_ROOT / name for name in _HYBRID if (_ROOT / name / "cgroup.procs").exists()]
    yield from hybrid or [_ROOT]


def _remove(group: Path) -> None:
    """Remove a group and those below it; its files go by themselves."""
    if group.exists():
        for below in sorted(group.rglob("*/"), reverse=True):
            below.rmdir()
        group.rmdir()
