"""./run demo: from nothing to a verified deployment in the sandbox, with everything left running."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun

from demo import card, prefect_server, register
from demo.instance import Instance
from flows.progress import follow
from roachmesh import topology
from sandbox import host


def up(instance: Instance, topology_file: Path) -> int:
    """Bring everything up, deploy, and say how to reach it; returns the exit code."""
    started = time.monotonic()
    wanted = topology.load(topology_file)
    missing = [*host.missing(), *prefect_server.in_the_way(instance)]
    if missing:
        print("The demo cannot run here.", *missing)
        return 2
    with ThreadPoolExecutor() as side_by_side:
        cloud = side_by_side.submit(start_sandbox, instance)
        prefect = side_by_side.submit(prefect_server.start, instance)
        prefect.result()
        say(started, f"Prefect is up: {instance.ui}")
        register.make_work_pool()
        register.share_results(instance.results)
        worker = side_by_side.submit(prefect_server.start_worker, instance)
        registered = side_by_side.submit(register.register_deployments)
        register.save_blocks(cloud.result())
        say(started, "the sandbox is up")
        registered.result()
        worker.result()
    run = deploy(instance, wanted, started)
    if run.state is None or not run.state.is_completed():
        reason = run.state.message if run.state else "it has no state"
        print(f"\nThe deployment did not succeed: {reason}\nIts page: {instance.page(run.id)}")
        return 1
    print(card.render(instance, cloud.result(), wanted, topology_file))
    say(started, "done")
    return 0


def start_sandbox(instance: Instance) -> dict[str, Any]:
    """Start the local Azure; its secrets come through a pipe, never through arguments."""
    command = [sys.executable, "-m", "sandbox", "up", "--json", "--instance", instance.sandbox.name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)  # it has said why on stderr
    cloud: dict[str, Any] = json.loads(done.stdout)
    return cloud


def deploy(instance: Instance, wanted: topology.Topology, started: float) -> FlowRun:
    """Trigger `deploy` through the worker, and print a line for each task that ends."""
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("deploy/deploy")
        run = client.create_flow_run_from_deployment(
            deployment.id, parameters={"topology": wanted.model_dump(mode="json")}
        )
        say(started, f"deploying {wanted.name}: {instance.page(run.id)}")
        for step in follow(client, run.id):
            say(started, str(step))
        return client.read_flow_run(run.id)


def say(started: float, text: str) -> None:
    """Print a line with the seconds since the start."""
    print(f"{time.monotonic() - started:6.1f} s  {text}", flush=True)
