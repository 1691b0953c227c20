"""Processes of a sandbox, found and ended by the marker in their environment alone.

There is no file of process ids to go stale: what runs is asked of the kernel, so that it is right
after a kill -9 of anything.
"""

import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from sandbox.instance import Instance

MARKER = "ROACHMESH_SANDBOX"
ROLE = "ROACHMESH_ROLE"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment(instance: Instance, role: str) -> dict[str, str]:
    """Return the whole environment of a process: a path, whose it is, and what it does there."""
    return {"PATH": PATH, MARKER: instance.mark, ROLE: role}


def roles(instance: Instance) -> dict[int, str]:
    """Return what each process of this instance does, by process id; the daemon has no role."""
    found = {}
    for process_id in (int(entry.name) for entry in Path("/proc").glob("[0-9]*")):
        role = _role(instance, process_id)
        if role:
            found[process_id] = role
    return found


def end(instance: Instance, role: str, *, grace_s: float) -> None:
    """End all processes of one role: SIGTERM, and SIGKILL to what is left after `grace_s`."""
    for number, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        handles = list(_handles(instance, role))
        try:
            for handle in handles:
                _signal(handle, number)
            _wait(handles, wait_s)
        finally:
            for handle in handles:
                os.close(handle)


def kill(process_id: int) -> None:
    """Kill one process and wait until it is gone."""
    try:
        handle = os.pidfd_open(process_id)
    except ProcessLookupError:
        return
    try:
        _signal(handle, signal.SIGKILL)
        _wait([handle], 5.0)
    finally:
        os.close(handle)


def _role(instance: Instance, process_id: int) -> str | None:
    try:
        block = Path(f"/proc/{process_id}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None  # it ended meanwhile, or hides even from root, which ours do not
    variables = dict(
        entry.split("=", 1) for entry in block.decode(errors="replace").split("\0") if "=" in entry
    )
    return variables.get(ROLE) if variables.get(MARKER) == instance.mark else None


def _handles(instance: Instance, role: str) -> Iterator[int]:
    """Open handles first and look again after it: a process id may be reused, a handle is not."""
    for process_id in [number for number, found in roles(instance).items() if found == role]:
        try:
            handle = os.pidfd_open(process_id)
        except ProcessLookupError:
            continue
        if _role(instance, process_id) == role:
            yield handle
        else:
            os.close(handle)


def _signal(handle: int, number: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return  # it has ended already, which is what we want


def _wait(handles: list[int], timeout_s: float) -> None:
    """Wait until all have ended, without a loop that burns time."""
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    left, deadline = len(handles), time.monotonic() + timeout_s
    while left and (remaining_s := deadline - time.monotonic()) > 0:
        for handle, _ in poll.poll(remaining_s * 1000):
            poll.unregister(handle)
            left -= 1
