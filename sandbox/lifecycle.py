"""Bringing an instance up and down. Nothing but its mark is needed to find all of it again."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox import card, client, host, processes
from sandbox.builds import Say
from sandbox.card import Card
from sandbox.fabric import removal as fabric_removal
from sandbox.instance import STATE_DIR, Instance
from sandbox.machines import removal as machines_removal
from sandbox.machines.machines import prepare

ROLE = "daemon"
GRACE_S = 3.0
FORMER_LIMIT = STATE_DIR / "former-limit-of-watchers"


class CannotRun(RuntimeError):
    """This computer lacks something; the message is one sentence."""


class DaemonFailed(RuntimeError):
    """The daemon ended before it was up; the message holds what it said last. Nothing of it is left."""


def up(instance: Instance, say: Say) -> Card:
    """Bring the sandbox up, or find it up; returns when it answers.

    Raises:
        CannotRun: this computer lacks something.
        DaemonFailed: it did not come up.
    """
    missing = host.missing()
    if missing:
        raise CannotRun(" ".join(missing))
    with _one_at_a_time(instance):
        found = living(instance)
        if found:
            return found
        prepare(say)
        _remove(instance)
        host.allow_many_machines(FORMER_LIMIT)
        try:
            return _start(instance)
        except BaseException:
            _remove(instance)
            raise


def down(instance: Instance) -> None:
    """End everything that carries the instance's mark, whatever was killed before; safe to repeat."""
    with _one_at_a_time(instance):
        _remove(instance)
        parent = instance.directory.parent
        if not any(parent.iterdir()):
            parent.rmdir()
        if not any(FORMER_LIMIT.parent.glob("*/sandbox")):  # the last one
            host.restore_limits(FORMER_LIMIT)


def living(instance: Instance) -> Card | None:
    """The card of the sandbox that is up and answers; None if none does."""
    found = card.read(instance)
    return found if found and client.answers(found) else None


def _remove(instance: Instance) -> None:
    processes.end(instance, ROLE, grace_s=GRACE_S)
    machines_removal.remove_everything(instance)
    fabric_removal.remove_everything(instance)
    if instance.directory.exists():
        shutil.rmtree(instance.directory)


def _start(instance: Instance) -> Card:
    instance.directory.mkdir(mode=0o700)  # the machines' files are in it, secrets among them
    log = instance.directory / "sandbox.log"
    readable, writable = os.pipe()
    environment = processes.environment(instance, ROLE) | {"HOME": str(Path.home())}
    with log.open("ab") as output, open(readable) as ready:  # noqa: PTH123 - a pipe, not a path
        subprocess.Popen(
            [sys.executable, "-m", "sandbox.server", instance.name, str(writable)],
            cwd=Path(__file__).parents[1],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[writable],
            start_new_session=True,
        )
        os.close(writable)
        line = ready.readline()  # ends with the daemon, if it does not come up
    found = card.read(instance)
    if not line or found is None:
        tail = log.read_text(errors="replace").splitlines()[-15:]
        raise DaemonFailed("\n".join(["The sandbox did not come up. It said:", *(tail or ["nothing"])]))
    return found


@contextmanager
def _one_at_a_time(instance: Instance) -> Iterator[None]:
    """Let two commands on one instance wait for each other; the lock leaves no file behind."""
    while (handle := _locked(instance.directory.parent)) is None:
        pass
    try:
        yield
    finally:
        os.close(handle)


def _locked(directory: Path) -> int | None:
    """Wait for the lock on a folder; None if whoever had it took the folder away meanwhile."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    fcntl.flock(handle, fcntl.LOCK_EX)
    if os.fstat(handle).st_nlink:
        return handle
    os.close(handle)
    return None
