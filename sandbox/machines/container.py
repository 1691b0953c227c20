"""Run a machine: systemd as the first process of systemd-nspawn, apart from the process that starts it.

Machines outlive the daemon, whatever ends it; they are found again by the marker in the environment of
nspawn. A machine that reboots itself is started again by a few lines of shell around nspawn.
"""

import os
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sandbox import processes
from sandbox.fabric import names
from sandbox.fabric.namespaces import kill_inside
from sandbox.instance import Instance
from sandbox.machines import groups

# Without these a machine's root would set this computer's clock, load modules or touch its ports. They
# guard against accidents, not against an attacker: machines share the kernel and no user namespace.
_WITHHELD = "CAP_SYS_TIME,CAP_SYS_MODULE,CAP_SYS_RAWIO"
_SETTINGS = {
    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",  # the rest of /proc/sys is this computer's
    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
}
NSPAWN = Path("/run/systemd/nspawn")  # where it keeps locks and mounts of its own
_REBOOT = 133  # nspawn's exit code when the machine wants to be started again
_SCRIPT = f"""
for group in $GROUPS; do echo $$ >"$group/cgroup.procs"; done
while "$@"; [ $? -eq {_REBOOT} ]; do :; done
"""
_HALT_S = 15.0


class NotReady(RuntimeError):
    """A machine ended, or was too slow, before it was up."""


def role(key: str) -> str:
    """Name what the processes around a machine do."""
    return f"machine:{key}"


def start(instance: Instance, key: str, root: Path, binds: list[str], deadline_s: float) -> None:
    """Start a machine and wait until systemd says that it is up.

    The log of its console goes beside `root`, its file system; `binds` are options of nspawn that show
    devices and folders inside.

    Raises:
        NotReady: it ended before it was up, or took too long.
    """
    until = time.monotonic() + deadline_s
    with _notified(root.parent / "notify") as notices, console(root).open("ab") as log:
        alive, held = os.pipe()  # readable as soon as nobody holds the other end any more
        try:
            _launch(instance, key, root, binds, log, held)
        finally:
            os.close(held)
        try:
            _wait(notices, alive, until)
        finally:
            os.close(alive)


def stop(instance: Instance, key: str) -> None:
    """Halt a machine in good order; what does not end in time is killed."""
    processes.end(instance, role(key), grace_s=_HALT_S)
    kill_inside(names.machine(instance, key))


def kill(instance: Instance, key: str) -> None:
    """End a machine as a host's death would: nothing is written, nobody says goodbye."""
    kill_inside(names.machine(instance, key))
    processes.end(instance, role(key), grace_s=0)


def forget_lock(root: Path) -> None:
    """Remove the lock that a killed nspawn leaves; it is named by the inode of what is mounted on `root`."""
    if root.exists():
        status = root.stat()
        (NSPAWN / "locks" / f"inode-{status.st_dev}:{status.st_ino}").unlink(missing_ok=True)


def console(root: Path) -> Path:
    """Return the file that holds what a machine wrote to its console."""
    return root.parent / "console.log"


def _launch(instance: Instance, key: str, root: Path, binds: list[str], log: BinaryIO, held: int) -> None:
    """Leave the machine to init (`setsid --fork`): it is no child of ours, and does not end with us."""
    own = {"NOTIFY_SOCKET": str(root.parent / "notify"), "GROUPS": " ".join(groups.make(instance, key))}
    subprocess.run(
        ["setsid", "--fork", "sh", "-c", _SCRIPT, "sh", *_command(instance, key, root), *binds],
        env=processes.environment(instance, role(key)) | _SETTINGS | own,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=[held],
        check=True,
    )


def _command(instance: Instance, key: str, root: Path) -> list[str]:
    return [
        "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--notify-ready=yes",
        f"--directory={root}", f"--machine={instance.mark}-{key}", "--console=read-only",
        f"--network-namespace-path={names.path(names.machine(instance, key))}",
        "--capability=all", f"--drop-capability={_WITHHELD}",
        "--system-call-filter=@keyring bpf",  # for runc: a container has a key ring, and a filter of devices
    ]  # fmt: skip


@contextmanager
def _notified(path: Path) -> Iterator[socket.socket]:
    """Yield the socket that nspawn tells about the machine's progress."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(str(path))
        try:
            yield notices
        finally:
            path.unlink()


def _wait(notices: socket.socket, alive: int, until: float) -> None:
    while (left_s := until - time.monotonic()) > 0:
        readable, _, _ = select.select([notices.fileno(), alive], [], [], left_s)
        if notices.fileno() in readable and b"READY=1" in notices.recv(4096).split(b"\n"):
            return
        if alive in readable:
            raise NotReady("it ended before it was up")
    raise NotReady("it was not up in time")
