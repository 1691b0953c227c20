"""What `k3s server` and `k3s agent` have in common as services of systemd."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from sandbox.k3s import node, paths, registries
from sandbox.k3s.children import Children
from sandbox.k3s.config import NodeConfig
from sandbox.k3s.logs import log

_SOCKET_EVERY_S = 0.05


def run_until_told(service: Callable[[Children], Coroutine[Any, Any, None]]) -> None:
    """Run a service until SIGTERM, SIGINT, or the end of one of its components.

    Raises:
        Fatal: it could not start, or a component ended.
    """

    async def run() -> None:
        children = Children()
        task = asyncio.ensure_future(service(children))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            log.info("Shutting down")
            notify("STOPPING=1")
        finally:
            await children.stop()

    asyncio.run(run())


def in_background(children: Children, what: str, work: Callable[[], None]) -> None:
    """Run something beside the service; if it fails, the service does."""
    loop = asyncio.get_running_loop()

    def run() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  # whatever it was, it must not be lost in a thread
            log.exception("%s", what)
            loop.call_soon_threadsafe(children.fail, f"{what}: {error}")

    threading.Thread(target=run, name=what, daemon=True).start()


async def start_containerd(children: Children, config: NodeConfig) -> None:
    """Start containerd as `registries.yaml` says."""
    registries.write_hosts(config.registries, paths.REGISTRY_HOSTS)
    paths.write_secret(paths.CONTAINERD_CONFIG, node.containerd_config(config))
    paths.CONTAINERD.mkdir(parents=True, exist_ok=True)
    await children.start("containerd", node.containerd(), paths.CONTAINERD / "containerd.log")


async def containerd_answers() -> None:
    """Wait until containerd listens; it does, or ends and k3s with it."""
    while not await asyncio.to_thread(_listens, str(paths.CONTAINERD_SOCKET)):
        await asyncio.sleep(_SOCKET_EVERY_S)


def notify(state: str) -> None:
    """Tell systemd a state, when it started us with `Type=notify`. Source: sd_notify(3)."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bus:
            bus.sendto(state.encode(), "\0" + path[1:] if path.startswith("@") else path)


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(path) == 0
