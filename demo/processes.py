"""Background processes: started detached and marked, found again by their mark alone."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

GRACE_S = 10.0


def start(command: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> None:
    """Start a process that outlives us; `environment` is added to ours and carries the mark."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,
        )


def find(mark: Mapping[str, str], argument: str = "") -> Iterator[int]:
    """Find the processes whose environment holds the mark, ourselves left out.

    An environment is inherited: `argument` tells a process from those that it started.
    """
    wanted = {f"{name}={value}".encode() for name, value in mark.items()}
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit() or int(directory.name) == os.getpid():
            continue
        try:
            environment = (directory / "environ").read_bytes()
            command = (directory / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended meanwhile, or is another user's
        has_argument = not argument or argument.encode() in command.split(b"\0")
        if has_argument and wanted <= set(environment.split(b"\0")):
            yield int(directory.name)


def stop_all(mark: Mapping[str, str]) -> None:
    """End all marked processes: asked first, and after ten seconds no longer asked."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + GRACE_S
        while found := list(find(mark)):
            end(found, number, patience_s=deadline - time.monotonic())
            if time.monotonic() > deadline:
                break


def end(
    processes: Iterable[int], number: signal.Signals = signal.SIGKILL, patience_s: float = GRACE_S
) -> None:
    """Signal processes, and wait until they are gone.

    A process that was killed looks alive for some more milliseconds: `find` may still find it.
    """
    deadline = time.monotonic() + patience_s
    with ExitStack() as opened:
        ending = [_signal(process, number, opened) for process in processes]
        for descriptor in filter(None, ending):
            select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))


def _signal(process: int, number: signal.Signals, opened: ExitStack) -> int | None:
    """Signal a process; gives what becomes readable when it has ended."""
    try:
        descriptor = os.pidfd_open(process)
        opened.callback(os.close, descriptor)
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return None  # it ended by itself
    return descriptor
