"""Prefect's server with its UI, and one worker."""

import json
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

from demo import postgres, processes
from demo.instance import Instance
from demo.waiting import wait_until

WORK_POOL = "roachmesh"
START_TIMEOUT_S = 90.0
PREFECT = str(Path(sys.executable).with_name("prefect"))


def start(instance: Instance) -> None:
    """Have PostgreSQL and the server running; returns when its API answers."""
    if is_healthy(instance):
        return
    instance.prefect_home.mkdir(parents=True, exist_ok=True)
    instance.directory.chmod(0o755)  # the user postgres passes through it
    postgres.start(instance)
    processes.start(
        [PREFECT, "server", "start"],
        log=instance.directory / "prefect-server.log",
        environment={**instance.mark, **instance.server_environment()},
    )
    wait_until(
        lambda: is_healthy(instance),
        what="Prefect's server",
        timeout_s=START_TIMEOUT_S,
        log=instance.directory / "prefect-server.log",
    )


def in_the_way(instance: Instance) -> list[str]:
    """Say, in a sentence, that the server at our port is somebody else's; none if it is not."""
    if is_healthy(instance) and next(processes.find(instance.mark, "server"), None) is None:
        return [f"Another Prefect server answers at {instance.ui}, with blocks of its own: end it before."]
    return []


def start_worker(instance: Instance) -> None:
    """Have one process worker; returns when it was heard of. Each run has a process of its own."""
    if next(processes.find(instance.mark, "worker"), None) is not None:
        return
    started = datetime.now(UTC)
    processes.start(
        [PREFECT, "worker", "start", "--pool", WORK_POOL, "--type", "process", "--name", "demo"],
        log=worker_log(instance),
        environment={**instance.mark, **instance.client_environment()},
    )
    wait_until(
        lambda: any(heard_of > started for heard_of in _heartbeats(instance)),
        what="Prefect's worker",
        timeout_s=START_TIMEOUT_S,
        log=worker_log(instance),
    )


def worker_log(instance: Instance) -> Path:
    """Where the worker writes, and the runs that it starts."""
    return instance.directory / "prefect-worker.log"


def _heartbeats(instance: Instance) -> list[datetime]:
    """When each worker of the pool was last heard of."""
    address = f"{instance.ui}/api/work_pools/{WORK_POOL}/workers/filter"
    request = urllib.request.Request(address, b"{}", {"Content-Type": "application/json"})  # noqa: S310 -- ours
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 -- ours
        return [datetime.fromisoformat(worker["last_heartbeat_time"]) for worker in json.load(answer)]


def is_healthy(instance: Instance) -> bool:
    """Ask the API whether it is well."""
    try:
        with urllib.request.urlopen(f"{instance.ui}/api/health", timeout=2) as answer:  # noqa: S310 -- ours
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
