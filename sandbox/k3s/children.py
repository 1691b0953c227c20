"""The components as child processes: k3s ends with the first that ends, and they end with it."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Awaitable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

from sandbox.k3s.errors import Fatal
from sandbox.k3s.logs import log

_Result = TypeVar("_Result")

# What systemd tells its service is not for the service's children, some of which would answer.
_NOT_FOR_CHILDREN = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
_GRACE_S = 2.0  # an API server of 1.20 uses up all of it, as it waits for its watches to end
_ETCD_GRACE_S = 10.0  # etcd hands its leadership on, so that no election is needed
_AGAIN_S = 1.0


class Children:
    """Running components, in the order in which they were started.

    They are killed with this process, however it ends. Containers are none of them: containerd's shims live
    on.
    """

    def __init__(self) -> None:
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watchers: list[asyncio.Task[None]] = []

    async def start(self, name: str, command: list[str], output: Path | None = None) -> None:
        """Start a component; its output is ours, unless a file is given for it."""
        log.info("Running %s", " ".join(command))
        process = await self._spawn(command, output)
        self._running[name] = process
        self._watchers.append(asyncio.create_task(self._watch(name, process)))

    async def start_again_and_again(self, name: str, command: list[str]) -> None:
        """Start what may end, and is started again then."""

        async def keep() -> None:
            while True:
                process = await self._spawn(command, None)
                self._running[name] = process
                log.warning("%s exited: %s; it is started again", name, _how(await process.wait()))
                await asyncio.sleep(_AGAIN_S)

        self._watchers.append(asyncio.create_task(keep()))

    def fail(self, message: str) -> None:
        """Let whoever waits end with this message."""
        if not self._failure.done():
            self._failure.set_exception(Fatal(message))

    async def unless_one_ends(self, work: Awaitable[_Result]) -> _Result:
        """Wait for something.

        Raises:
            Fatal: a component ended meanwhile.
        """
        task = asyncio.ensure_future(work)
        try:
            ends: list[asyncio.Future[Any]] = [task, self._failure]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._failure.done():
                self._failure.result()
            return await task
        finally:
            task.cancel()

    async def stop(self) -> None:
        """End all; etcd last, since the others write to it until their end."""
        for watcher in self._watchers:
            watcher.cancel()
        last = self._running.pop("etcd", None)
        await _end(list(self._running.values()), _GRACE_S)
        if last:
            await _end([last], _ETCD_GRACE_S)
        if self._failure.done():
            self._failure.exception()  # it was told, or something else was told instead

    async def _spawn(self, command: list[str], output: Path | None) -> asyncio.subprocess.Process:
        environment = {key: value for key, value in os.environ.items() if key not in _NOT_FOR_CHILDREN}
        with output.open("ab") if output else nullcontext() as file:
            return await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig", "KILL", "--", *command),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=environment,
            )

    async def _watch(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.fail(f"{name} exited: {_how(await process.wait())}")


def _how(code: int) -> str:
    return f"signal: {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


async def _end(processes: list[asyncio.subprocess.Process], grace_s: float) -> None:
    alive = [process for process in processes if process.returncode is None]
    for process in alive:
        process.terminate()
    if not alive:
        return
    waits = [asyncio.ensure_future(process.wait()) for process in alive]
    _, slow = await asyncio.wait(waits, timeout=grace_s)
    for process in alive:
        if process.returncode is None:
            process.kill()
    if slow:
        await asyncio.wait(slow)
