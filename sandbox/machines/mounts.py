"""Mounts of this computer, found by where they are."""

from pathlib import Path

from sandbox.commands import run


def unmount_below(folder: Path) -> None:
    """Unmount everything at or below a folder, innermost first.

    Lazily: a shell that somebody left in there must not keep a machine from going.
    """
    for mount in reversed(_below(folder)):
        run("umount", "--lazy", mount)


def _below(folder: Path) -> list[Path]:
    """Return the mount points below a folder, in the order in which they were made."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = (Path(line.split()[4].encode().decode("unicode_escape")) for line in lines)
    return [point for point in points if point.is_relative_to(folder)]
