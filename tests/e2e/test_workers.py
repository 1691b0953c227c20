"""Regions on two workers that share Prefect and where results are, and one of them killed in the middle."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo import prefect_server, processes
from demo.prefect_server import PREFECT, WORK_POOL
from tests.e2e.conftest import World, document

# The workers outlive the function that started them.
OUTLIVES = "ignore:Exception ignored in. <function Popen.__del__:pytest.PytestUnraisableExceptionWarning"
pytestmark = [pytest.mark.machines, pytest.mark.timeout(600), pytest.mark.filterwarnings(OUTLIVES)]

NAMES = ("eastus", "westus", "northeurope")
PATIENCE_S = 240.0
OF_WORKER = "ROACHMESH_TEST_WORKER"  # whose process it is; a worker's runs inherit it


class Worker:
    """A worker with a working directory and a home of its own, as on another computer.

    It has three places: the run and all of its regions fit into two workers, and not into one.
    """

    def __init__(self, world: World, directory: Path, name: str) -> None:
        self.mark = {**world.instance.mark, OF_WORKER: name}
        (directory / name).mkdir()
        program = f"{PREFECT} worker start --pool {WORK_POOL} --type process --name {name} --limit 3"
        environment = {**world.instance.client_environment(), "PREFECT_HOME": str(directory / name / "home")}
        processes.start(
            ["sh", "-c", f'cd "$0" && exec {program}', str(directory / name)],
            log=directory / f"{name}.log",
            environment={**self.mark, **environment},
        )

    def has(self, run_id: str) -> bool:
        """Whether a run's process is its."""
        return any(processes.find({**self.mark, "PREFECT__FLOW_RUN_ID": run_id}))

    def kill(self) -> None:
        """End it and the processes of its runs, as if its computer died."""
        processes.end(processes.find(self.mark))


def regions(world: World, run_id: str) -> list[dict[str, Any]]:
    """The runs of a run's regions."""
    of_run = {"flow_runs": {"parent_flow_run_id": {"any_": [run_id]}}}
    found: list[dict[str, Any]] = world.prefect("/flow_runs/filter", of_run)
    return found


def tasks(world: World, run: dict[str, Any]) -> list[dict[str, Any]]:
    """The tasks of a region's run."""
    of_run = {"flow_runs": {"id": {"any_": [run["id"]]}}, "limit": 200}
    found: list[dict[str, Any]] = world.prefect("/task_runs/filter", of_run)
    return found


def is_in_the_middle(world: World, run: dict[str, Any]) -> bool:
    """Whether a region runs, and remembers some of its tasks: a network waits for those that it needs."""
    return run["state_name"] == "Running" and any(
        one["state_name"] == "Completed" and one["name"].startswith("VNet") for one in tasks(world, run)
    )


def remembered(world: World) -> dict[Path, int]:
    """What tasks of the topology left for others to find, and when; one cut off by a kill is none."""
    return {
        path: path.stat().st_mtime_ns
        for path in world.instance.results.glob("workers.*")
        if path.read_bytes().endswith(b"}")
    }


def kill_one_in_the_middle(world: World, run_id: str, workers: list[Worker]) -> dict[str, Any]:
    """Kill the worker that has not the run itself as soon as it is amid a region; gives the region's run."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for region in regions(world, run_id):
            for worker in workers:
                is_other = worker.has(region["id"]) and not worker.has(run_id)
                if is_other and is_in_the_middle(world, region):
                    worker.kill()
                    return region
        time.sleep(0.1)
    raise AssertionError(world.report())


def test_two_workers_share_the_regions_and_one_does_the_rest_when_the_other_is_killed(
    world: World, tmp_path: Path
) -> None:
    topology = tmp_path / "workers.yaml"
    made = [{"platform": "vm", "name": name, "nodes": 1} for name in NAMES]
    topology.write_text(yaml.safe_dump({"name": "workers", "regions": made}))
    processes.end(processes.find(world.instance.mark, "worker"))
    workers = [Worker(world, tmp_path, name) for name in ("one", "two")]
    try:
        run_id = world.start("deploy", {"topology": document(topology), "fan_out": "workers"})
        lost = kill_one_in_the_middle(world, run_id, workers)
        before = remembered(world)
        world.wait(run_id)
    finally:
        for worker in workers:
            worker.kill()
        prefect_server.start_worker(world.instance)
    time.sleep(2)  # Prefect records tasks a moment after they end

    ended = regions(world, run_id)
    assert Counter(one["state_name"] for one in ended)["Completed"] == len(NAMES)
    assert lost["id"] in [one["id"] for one in ended if one["state_name"] == "Crashed"]
    after = remembered(world)
    assert {path for path, written in before.items() if after[path] != written} == set()
    assert any(task["state_name"] == "Cached" for one in ended for task in tasks(world, one))
    world.roachmesh("destroy", "--yes", str(topology))
