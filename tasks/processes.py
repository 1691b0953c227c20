"""A process named so that no other ever has its name, and whether it still lives."""

import os
from pathlib import Path

PROC = Path("/proc")
STATE, START_TIME = 0, 19  # fields after the command's name. Source: proc(5), /proc/pid/stat.


def this_process() -> str:
    """Name this process by kernel, PID namespace, number and start; empty where there is no /proc."""
    if not PROC.exists():
        return ""
    return f"{_kernel()} {os.getpid()} {_stat(os.getpid())[START_TIME]}"


def is_there(process: str) -> bool | None:
    """Tell whether a process of that name lives; None if only another computer could tell."""
    kernel, _, rest = process.rpartition(" ")[0].rpartition(" ") if process else ("", "", "")
    if not kernel or not PROC.exists() or kernel != _kernel():
        return None
    started = process.rpartition(" ")[2]
    try:
        stat = _stat(int(rest))
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat[START_TIME] == started and stat[STATE] != "Z"


def _kernel() -> str:
    """Give what is another one after a boot, and in a container."""
    boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {(PROC / 'self/ns/pid').readlink()}"


def _stat(number: int) -> list[str]:
    return (PROC / str(number) / "stat").read_text().rpartition(")")[2].split()
