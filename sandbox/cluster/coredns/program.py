"""The command `coredns`."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from sandbox.cluster import probes
from sandbox.cluster.coredns.cluster_zone import ClusterIndex
from sandbox.cluster.coredns.corefile import CorefileError, Plugin, Server, read, seconds
from sandbox.cluster.coredns.server import Servers, listening
from sandbox.cluster.kubernetes_api import KubernetesApi
from sandbox.cluster.threads import end_with_any

STAND_IN = "this is a stand-in for CoreDNS, made by Roachmesh's sandbox; not CoreDNS"
HEALTH_PORT, READY_PORT = 8080, 8181
RELOAD_S = 30.0

log = logging.getLogger("coredns")


def main() -> None:
    """Run until the pod ends, or the Corefile changes for the better."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="[%(levelname)s] %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    parser = argparse.ArgumentParser("coredns")
    parser.add_argument("-conf", type=Path, default=Path("Corefile"))
    log.info(STAND_IN)
    end_with_any()
    path = parser.parse_args().conf
    try:
        servers, files = read(path)
        index = ClusterIndex()
        answering = Servers(servers, index)
    except (CorefileError, OSError, ValueError) as error:
        sys.exit(f"{error}")
    if _has(servers, "kubernetes"):
        index.follow(KubernetesApi.in_cluster())
    is_ready = (lambda: index.is_synced) if _has(servers, "kubernetes") else (lambda: True)
    if _has(servers, "health"):
        probes.answer("", HEALTH_PORT, lambda: True)
    if _has(servers, "ready"):
        probes.answer("", READY_PORT, is_ready, unwell="kubernetes")
    asyncio.run(_run(path, answering, files, _reload(servers)))


async def _run(path: Path, answering: Servers, files: list[Path], reload: Plugin | None) -> None:
    async with AsyncExitStack() as open_ports:
        for port in answering.ports:
            await open_ports.enter_async_context(listening(port, answering.answer_on(port)))
            log.info(".:%d", port)
        if reload is None:
            await asyncio.Event().wait()
        else:
            every_s = seconds(reload, reload.arguments[0]) if reload.arguments else RELOAD_S
            await _changed(path, files, every_s)
    log.info("Reloading")
    os.execv(sys.argv[0], sys.argv)  # noqa: S606 -- this program anew; clients repeat what is lost meanwhile


async def _changed(path: Path, files: list[Path], every_s: float) -> None:
    """Wait until the Corefile or what it imports has changed, and can be read."""
    before = _content(files)
    refused = None
    while True:
        await asyncio.sleep(every_s)
        try:
            servers, now = read(path)
            content = _content(now)
            if content == before:
                continue
            Servers(servers, ClusterIndex())
        except (CorefileError, OSError, ValueError) as error:
            if str(error) != refused:
                refused = str(error)
                log.error("plugin/reload: Corefile changed but reload failed: %s", error)
            continue
        return


def _content(files: list[Path]) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in files}


def _has(servers: list[Server], plugin: str) -> bool:
    return any(plugin in server.plugins for server in servers)


def _reload(servers: list[Server]) -> Plugin | None:
    return next((server.plugins["reload"] for server in servers if "reload" in server.plugins), None)
